"""API keys: stored by their SHA-256, found by it, revoked but never deleted."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from notifier.core.api_key import ApiKey
from notifier.store.schema import api_key
from notifier.store.statements import insert_once

_COLUMNS = (
    api_key.c.id,
    api_key.c.name,
    api_key.c.project,
    api_key.c.prefix,
    api_key.c.scopes,
    api_key.c.route,
    api_key.c.from_domains,
    api_key.c.created_at,
    api_key.c.expires_at,
    api_key.c.revoked_at,
)
_FIND = select(*_COLUMNS).where(api_key.c.sha256 == bindparam("digest"))
_INSERT = insert_once(api_key).returning(api_key.c.id)


def find_key(connection: Connection, digest: str) -> ApiKey | None:
    """The key with this SHA-256. It may have been revoked, or have expired."""
    row = connection.execute(_FIND, {"digest": digest}).first()
    return None if row is None else _key(row)


def add_key(connection: Connection, key: ApiKey, digest: str) -> bool:
    """Store a new key. False: a key that is not revoked has this name already."""
    written = connection.execute(
        _INSERT,
        {
            "id": key.id,
            "name": key.name,
            "project": key.project,
            "route": key.route,
            "prefix": key.prefix,
            "sha256": digest,
            "scopes": sorted(key.scopes),
            "from_domains": list(key.from_domains),
            "created_at": key.created_at,
            "expires_at": key.expires_at,
        },
    )
    return written.first() is not None


def list_keys(connection: Connection, project: str | None = None) -> Sequence[ApiKey]:
    """All keys, or those of one project, in the order in which they were made."""
    query = select(*_COLUMNS).order_by(api_key.c.id)
    if project is not None:
        query = query.where(api_key.c.project == project)
    return [_key(row) for row in connection.execute(query)]


def revoke_key(connection: Connection, id_or_name: str, now: datetime) -> ApiKey | None:
    """Revoke the key with this id, or the live one with this name; None: there is none."""
    match = (api_key.c.id == id_or_name) | (api_key.c.name == id_or_name)
    row = connection.execute(
        update(api_key)
        .where(match, api_key.c.revoked_at.is_(None))
        .values(revoked_at=now)
        .returning(*_COLUMNS)
    ).first()
    return None if row is None else _key(row)


def _key(row: Any) -> ApiKey:
    return ApiKey(
        id=row.id,
        name=row.name,
        project=row.project,
        prefix=row.prefix,
        scopes=frozenset(row.scopes),
        route=row.route,
        from_domains=tuple(row.from_domains),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
