"""The store as a command opens it, beside the services that use it and also without any."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from notifier.core.errors import Misconfigured, Unavailable
from notifier.settings.sections import DatabaseSettings
from notifier.store.clock import StoreClock
from notifier.store.engine import Database, database_url, open_database, writing
from notifier.store.migrate import wait_until_current

P = ParamSpec("P")
Result = TypeVar("Result")

_PATIENCE_S: Final = 5.0
"""A person waits: a server that does not answer is given up sooner than by a service."""


class Beside:
    """A store that is there and whose schema fits. `now` is the clock of its services, `where` a
    name for it without a password.

    Everything raises Unavailable, in one sentence, when the database cannot be used.
    """

    def __init__(self, database: Database, where: str) -> None:
        self._database = database
        self.where = where
        self.now = StoreClock()

    def read(
        self,
        query: Callable[Concatenate[Connection, P], Result],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Result:
        """Run `query(connection, …)` in a read transaction."""
        with (
            _said_of(self.where),
            self._database.engine.connect().execution_options(reads=True) as connection,
            connection.begin(),
        ):
            return query(connection, *args, **kwargs)

    def write(
        self,
        change: Callable[Concatenate[Connection, P], Result],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Result:
        """Run `change(connection, …)` in a transaction of its own; committed when this returns."""
        with _said_of(self.where), writing(self._database) as connection:
            return change(connection, *args, **kwargs)


def missing_file(settings: DatabaseSettings, data_dir: Path) -> Path | None:
    """The file of a SQLite store that is not there (yet); None: it is, or it needs no file."""
    url = database_url(settings, data_dir)
    path = Path(str(url.database))
    return path if url.get_backend_name() == "sqlite" and not path.is_file() else None


@contextmanager
def beside(settings: DatabaseSettings, data_dir: Path) -> Iterator[Beside]:
    """Open the store that services made. Nothing is made or migrated.

    Raises Misconfigured where there is none, or where its schema is of another release.
    """
    url = database_url(settings, data_dir)
    is_sqlite = url.get_backend_name() == "sqlite"
    if missing := missing_file(settings, data_dir):
        raise Misconfigured(
            f"there is no store at {missing}: NOTIFIER_DATA_DIR or NOTIFIER_DATABASE__URL has"
            " to be the one that Notifier runs with, and `notifier dev` or `notifier serve` makes"
            " it at its first start"
        )
    where = str(url.database) if is_sqlite else f"{url.host or 'localhost'}/{url.database}"
    hurried = settings.model_copy(
        update={
            "migrate_wait_s": 0,
            "readers": 1,
            "writers": 1,
            "lock_timeout_s": min(settings.lock_timeout_s, _PATIENCE_S),
        }
    )
    if not is_sqlite and "connect_timeout" not in url.query:
        url = url.update_query_dict({"connect_timeout": str(int(_PATIENCE_S))})
    wait_until_current(hurried, data_dir)
    database = open_database(url, hurried)
    try:
        opened = Beside(database, where)
        opened.read(opened.now.correct)
        yield opened
    finally:
        database.close()


@contextmanager
def _said_of(where: str) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        reason = " ".join(str(error.orig).split())
        raise Unavailable(f"the database at {where} cannot be used: {reason}") from error
