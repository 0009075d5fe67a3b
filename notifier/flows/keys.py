"""API keys: made, listed and revoked by the operator, found for the API."""

import os
import time
from datetime import UTC, datetime
from typing import Final, Literal

from notifier.core.api_key import ENTROPY_BYTES, SCOPES, ApiKey, mint, unknown_scopes
from notifier.core.errors import Conflict, Misconfigured, NotFound
from notifier.core.ids import IdSource
from notifier.store.engine import Database, writing
from notifier.store.keys import add_key, find_key, list_keys, revoke_key
from notifier.store.store import Store

_REMEMBER_S: Final = 2.0
_REMEMBER_MOST: Final = 1000


class KeyDesk:
    """What `notifier keys` does. `database` has the schema."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ids = IdSource(_now, os.urandom)

    def create(
        self,
        name: str,
        *,
        project: str = "default",
        scopes: frozenset[str] = SCOPES - {"admin"},
        route: Literal["live", "test"] = "live",
        from_domains: tuple[str, ...] = (),
        expires_at: datetime | None = None,
    ) -> tuple[str, ApiKey]:
        """The plaintext, which is not kept, and the key. Raises Conflict for a name in use."""
        if unknown := unknown_scopes(scopes):
            raise Misconfigured(f"there is no scope {', '.join(unknown)}")
        minted = mint(os.urandom(ENTROPY_BYTES), route)
        key = ApiKey(
            id=self._ids.new("key"),
            name=name,
            project=project,
            prefix=minted.prefix,
            scopes=scopes,
            route=route,
            from_domains=from_domains,
            created_at=_now(),
            expires_at=expires_at,
            revoked_at=None,
        )
        with writing(self._database) as connection:
            if not add_key(connection, key, minted.digest):
                raise Conflict(f"there is a key named {name} already; revoke it or take another")
        return minted.plaintext, key

    def list(self, project: str | None = None) -> "list[ApiKey]":
        """All keys, revoked ones too, oldest first."""
        with self._database.engine.connect() as connection:
            return [*list_keys(connection, project)]

    def revoke(self, id_or_name: str) -> ApiKey:
        """Revoke by id or name. Takes effect within two seconds. Raises NotFound."""
        with writing(self._database) as connection:
            key = revoke_key(connection, id_or_name, _now())
        if key is None:
            raise NotFound(f"there is no key {id_or_name} that is not revoked")
        return key


class KnownKeys:
    """Finds keys for the API: those given to it, and those in the store, kept for two seconds."""

    def __init__(self, store: Store, given: dict[str, ApiKey]) -> None:
        self._store = store
        self._given = given
        self._seen: dict[str, tuple[float, ApiKey]] = {}

    async def find(self, key_digest: str) -> ApiKey | None:
        """A `KeyLookup`."""
        if key_digest in self._given:
            return self._given[key_digest]
        until, key = self._seen.get(key_digest, (0.0, None))
        if key is not None and time.monotonic() < until:
            return key
        found = await self._store.read(find_key, key_digest)
        self._remember(key_digest, found)
        return found

    def _remember(self, key_digest: str, key: ApiKey | None) -> None:
        if key is None:
            self._seen.pop(key_digest, None)
            return
        if len(self._seen) >= _REMEMBER_MOST:
            self._seen.clear()
        self._seen[key_digest] = (time.monotonic() + _REMEMBER_S, key)


def _now() -> datetime:
    return datetime.now(UTC)
