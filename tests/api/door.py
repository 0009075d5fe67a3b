"""A whole door on a few routes of its own, for tests of the frame."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import httpx2
from fastapi import APIRouter, Form
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError
from starlette.types import ASGIApp

from notifier.api.app import create_app
from notifier.api.auth import Caller, caller
from notifier.api.frame import Frame, Health
from notifier.api.json_body import v1_router
from notifier.core.api_key import ApiKey, mint
from notifier.core.errors import Conflict, RateLimited, Unavailable
from notifier.core.ids import IdSource
from notifier.observe.facts import Fact
from notifier.settings import Settings

NOW = datetime(2030, 1, 31, 9, 30, tzinfo=UTC)
LIVE = mint(b"l" * 32, "live")
KEY = ApiKey(
    id="key_1",
    name="shop",
    project="shop",
    prefix=LIVE.prefix,
    scopes=frozenset({"send"}),
    route="live",
    from_domains=("example.org",),
    created_at=NOW - timedelta(days=1),
    expires_at=None,
    revoked_at=None,
)


Sender = Annotated[Caller, caller("send")]


class Address(BaseModel):
    email: str
    name: str | None = Field(None, max_length=5)


class Thing(BaseModel):
    model_config = ConfigDict(extra="forbid")

    to: list[str | Address] | str
    count: int = Field(0, ge=0, le=9)
    stream: str = Field("urgent", pattern="^(urgent|bulk)$")
    data: dict[str, Any] = {}
    at: datetime | None = None


@dataclass
class Door:
    """What the frame reports and asks, in the hands of a test."""

    settings: Settings
    facts: list[Fact] = field(default_factory=list)
    keys: dict[str, ApiKey] = field(default_factory=lambda: {LIVE.digest: KEY})
    health: Health = field(default_factory=lambda: Health("ready"))
    health_error: Unavailable | None = None
    taken: list[Thing] = field(default_factory=list)
    held: asyncio.Event = field(default_factory=asyncio.Event)
    inside: asyncio.Event = field(default_factory=asyncio.Event)

    def frame(self) -> Frame:
        async def find_key(digest: str) -> ApiKey | None:
            return self.keys.get(digest)

        async def health() -> Health:
            if self.health_error is not None:
                raise self.health_error
            return self.health

        return Frame(
            settings=self.settings,
            observe=self.facts.append,
            now=lambda: NOW,
            new_id=IdSource(lambda: NOW, os.urandom),
            port=8000,
            health=health,
            find_key=find_key,
        )

    def app(self) -> ASGIApp:
        return create_app(routers=[self.things(), form_router()], frame=self.frame())

    def client(
        self, *, host: str = "localhost:8000", peer: str = "127.0.0.1"
    ) -> httpx2.AsyncClient:
        transport = httpx2.ASGITransport(
            app=self.app(), client=(peer, 50000), raise_app_exceptions=True
        )
        return httpx2.AsyncClient(transport=transport, base_url=f"http://{host}")

    def of(self, kind: type[Fact]) -> list[Any]:
        return [fact for fact in self.facts if type(fact) is kind]

    def things(self) -> APIRouter:
        """Routes that do what a test of the frame needs done."""
        router = v1_router("Things")

        @router.post("/things", status_code=202)
        async def create_thing(body: Thing, who: Sender) -> Caller:
            self.taken.append(body)
            return who

        @router.get("/things/{name}")
        async def read_thing(name: str, who: Sender, limit: int = 20) -> dict[str, int]:
            """Reads one.

            Or says why not.
            """
            return {"length": len(name), "limit": limit}

        @router.post("/things/{name}/stop")
        async def stop_thing(name: str, who: Sender) -> None:
            await _fail(name, self)

        @router.get("/secrets")
        async def read_secrets(who: Annotated[Caller, caller("admin")]) -> None: ...

        @router.get("/stream")
        async def follow_things(who: Sender) -> StreamingResponse:
            return StreamingResponse(self.events(), media_type="text/event-stream")

        return router

    async def events(self) -> AsyncIterator[str]:
        yield ": hello\n\n"
        self.inside.set()
        await self.held.wait()


async def _fail(name: str, door: Door) -> None:
    match name:
        case "conflict":
            raise Conflict("It is being sent.", code="already_claimed")
        case "limit":
            raise RateLimited("Too many.", limit=10, window_s=60, retry_after_s=7)
        case "away":
            raise Unavailable("The store is away.", retry_after_s=3)
        case "bug":
            raise ZeroDivisionError("secret-in-a-message")
        case "custom":
            raise PydanticCustomError("x", "y")
        case "wait":
            door.inside.set()
            await door.held.wait()


def form_router() -> APIRouter:
    router = APIRouter()

    @router.post("/confirm", operation_id="confirm")
    async def confirm(t: Annotated[str, Form()]) -> dict[str, int]:
        return {"length": len(t)}

    inner = APIRouter(prefix="/mailbox")

    @inner.post("/echo/{number}", operation_id="echo")
    async def echo(number: int, body: Thing) -> Thing:
        return body

    router.include_router(inner)
    return router


def dev(**http: Any) -> Door:
    return Door(Settings.model_validate({"is_dev": True, "http": http}))


def production(**more: Any) -> Door:
    return Door(Settings.model_validate({"public_url": "https://notify.example.org", **more}))


def with_key(door: Door, **changes: Any) -> Door:
    door.keys[LIVE.digest] = replace(KEY, **changes)
    return door


BEARER = {"Authorization": f"Bearer {LIVE.plaintext}"}
JSON = {"Content-Type": "application/json"}


def assert_problem(
    response: httpx2.Response, status: int, code: str | None = None
) -> dict[str, Any]:
    """The body of a response that is a problem in every part."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert list(body) == [
        "type",
        "title",
        "status",
        "detail",
        "instance",
        "code",
        "request_id",
        "errors",
    ]
    assert body["status"] == status
    assert body["type"] == f"urn:notifier:problem:{body['code']}"
    assert body["request_id"] == response.headers["x-request-id"]
    assert code is None or body["code"] == code
    return body
