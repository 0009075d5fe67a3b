"""API keys for the command line, and those that settings declare."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from notifier.core.api_key import ApiKey, digest, route_of, shown_prefix
from notifier.flows.keys import KeyDesk
from notifier.settings import Settings
from notifier.store.engine import database_url, standalone
from notifier.store.migrate import migrate, wait_until_current


@contextmanager
def open_keys(settings: Settings) -> Iterator[KeyDesk]:
    """The keys of the configured database, migrated first where that is nobody else's task."""
    url = database_url(settings.database, settings.data_dir)
    if migrates_itself(settings):
        migrate(settings.database, settings.data_dir)
    else:
        # A person waits for the answer: a schema that is behind is said at once.
        at_once = settings.database.model_copy(update={"migrate_wait_s": 0})
        wait_until_current(at_once, settings.data_dir)
    with standalone(url, settings.database) as database:
        yield KeyDesk(database)


def migrates_itself(settings: Settings) -> bool:
    """Whether a start brings the schema up to date, or waits for `notifier migrate`."""
    if settings.database.migrate is not None:
        return settings.database.migrate == "auto"
    url = database_url(settings.database, settings.data_dir)
    return settings.is_dev or url.get_backend_name() == "sqlite"


def declared_keys(settings: Settings) -> dict[str, ApiKey]:
    """The keys that settings declare, by digest."""
    return dict(
        given_key(name, key.secret.get_secret_value(), key.project, frozenset(key.scopes))
        for name, key in settings.keys.items()
        if key.secret is not None
    )


def given_key(
    name: str, plaintext: str, project: str, scopes: frozenset[str]
) -> tuple[str, ApiKey]:
    """A key that is in no store, with its digest."""
    key = ApiKey(
        id=f"declared:{name}",
        name=name,
        project=project,
        prefix=shown_prefix(plaintext),
        scopes=scopes,
        route=route_of(plaintext) or "live",
        from_domains=(),
        created_at=datetime.fromtimestamp(0, UTC),
        expires_at=None,
        revoked_at=None,
    )
    return digest(plaintext), key
