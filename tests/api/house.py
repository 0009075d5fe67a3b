"""The whole API on a real store, behind the real door, with keys of several kinds."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from notifier.api.app import create_app
from notifier.api.confirm_page import confirm_router
from notifier.api.deps import DESK, RING
from notifier.api.frame import Frame, Health
from notifier.api.notifications import notifications_router
from notifier.api.registrations import registrations_router
from notifier.core.api_key import ApiKey, mint
from notifier.core.route import Route
from notifier.settings.sections import DatabaseSettings
from tests.support.office import PUBLIC_URL, START, Office, open_office

REDIRECT = "https://app.example.com/cb"
BODY = {"to": "ann@example.org", "subject": "Hello", "text": "It works."}


@dataclass
class House:
    """`web` calls as the project `default`; `as_` makes headers for other callers."""

    office: Office
    web: httpx2.AsyncClient
    keys: dict[str, str]
    rings: list[Route | None] = field(default_factory=list)

    def as_(self, name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[name]}"}

    async def post(self, path: str, body: Any, **options: Any) -> httpx2.Response:
        return await self.web.post(path, json=body, **options)

    async def notify(self, **changes: Any) -> dict[str, Any]:
        """Post a notification that is accepted; a None leaves a field out."""
        body = {name: value for name, value in {**BODY, **changes}.items() if value is not None}
        answer = await self.post("/v1/notifications", body)
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    async def register(self, **changes: Any) -> dict[str, Any]:
        answer = await self.post("/v1/registrations", {"email": "ann@example.org", **changes})
        assert answer.status_code == 202, answer.text
        return dict(answer.json())


_KINDS: dict[str, tuple[str, Any, frozenset[str]]] = {
    "default": ("default", "live", frozenset({"send", "read", "registrations"})),
    "shop": ("shop", "live", frozenset({"send", "read", "registrations"})),
    "test": ("default", "test", frozenset({"send", "read", "registrations"})),
    "sender": ("default", "live", frozenset({"send"})),
    "reader": ("default", "live", frozenset({"read"})),
}


@asynccontextmanager
async def open_house(database: DatabaseSettings, folder: Path) -> AsyncIterator[House]:
    registration = {"redirect_to": (REDIRECT, "myapp://done")}
    async with open_office(database, folder, registration=registration) as office:
        keys, plain = _keys()
        rings: list[Route | None] = []

        async def find_key(digest: str) -> ApiKey | None:
            return keys.get(digest)

        async def health() -> Health:
            return Health("ready")

        frame = Frame(
            settings=office.desk.settings,
            observe=office.facts.append,
            now=office.clock,
            new_id=office.desk.new_id,
            port=8000,
            health=health,
            find_key=find_key,
            state={DESK: office.desk, RING: rings.append},
        )
        routers = [notifications_router(), registrations_router(), confirm_router()]
        transport = httpx2.ASGITransport(app=create_app(routers=routers, frame=frame))
        headers = {"Authorization": f"Bearer {plain['default']}"}
        async with httpx2.AsyncClient(
            transport=transport, base_url=PUBLIC_URL, headers=headers
        ) as web:
            yield House(office, web, plain, rings)


def _keys() -> tuple[dict[str, ApiKey], dict[str, str]]:
    found, plain = {}, {}
    for number, (name, (project, route, scopes)) in enumerate(_KINDS.items()):
        minted = mint(bytes([number]) * 32, route)
        plain[name] = minted.plaintext
        found[minted.digest] = ApiKey(
            id=f"key_{number}",
            name=name,
            project=project,
            prefix=minted.prefix,
            scopes=scopes,
            route=route,
            from_domains=(),
            created_at=START,
            expires_at=None,
            revoked_at=None,
        )
    return found, plain
