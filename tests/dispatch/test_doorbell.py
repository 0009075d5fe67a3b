"""The bell between processes: two stores on one database know of each other's commits."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import SecretStr

from notifier.core.route import Route
from notifier.settings.sections import DatabaseSettings
from notifier.store.doorbell import Doorbell
from notifier.store.engine import database_url, standalone, writing
from tests.support.postgres_crash import crashing_server

pytestmark = pytest.mark.timeout(60)


@dataclass
class Ear:
    """What was heard, from whatever thread."""

    heard: list[Route | None] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    open: bool = True

    def hear(self, route: Route | None) -> None:
        with self.changed:
            self.heard.append(route)
            self.changed.notify_all()

    def until(self, count: int, patience_s: float = 20) -> list[Route | None]:
        """The first rings, waited for."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.heard) >= count, patience_s), self.heard
            return self.heard[:count]


@contextmanager
def doorbell(settings: DatabaseSettings, ear: Ear | None = None) -> Iterator[Doorbell]:
    """A process's bell; with an ear it has begun to listen."""
    with standalone(database_url(settings, Path()), settings) as database:
        bell = Doorbell(database)
        if ear is not None:
            bell.listen(ear.hear, lambda: ear.open)
            ear.until(1)  # it always begins with one: who knows what was rung before
        try:
            yield bell
        finally:
            bell.close()


def write_something(settings: DatabaseSettings) -> None:
    with (
        standalone(database_url(settings, Path()), settings) as other,
        writing(other) as connection,
    ):
        connection.exec_driver_sql("INSERT INTO rate (name, spent_until) VALUES ('x', 0)")


@pytest.fixture
def postgres(postgres_url: str) -> DatabaseSettings:
    return DatabaseSettings(url=SecretStr(postgres_url))


@pytest.fixture
def sqlite(migrated_sqlite: Path, tmp_path: Path) -> DatabaseSettings:
    file = tmp_path / "notifier.db"
    file.write_bytes(migrated_sqlite.read_bytes())
    return DatabaseSettings(url=SecretStr(f"sqlite:///{file}"))


def test_a_ring_is_heard_with_its_route_by_every_other_process(postgres: DatabaseSettings) -> None:
    ears = [Ear(), Ear()]
    with doorbell(postgres, ears[0]), doorbell(postgres, ears[1]), doorbell(postgres) as ringing:
        ringing.ring("live")
        assert [ear.until(2)[1] for ear in ears] == ["live", "live"]
        ringing.ring("test")
        assert [ear.until(3)[2] for ear in ears] == ["test", "test"]


def test_at_most_a_hundred_notifications_a_second_come_of_any_number_of_rings(
    postgres: DatabaseSettings,
) -> None:
    ear = Ear()
    with doorbell(postgres, ear), doorbell(postgres) as ringing:
        began = time.monotonic()
        for _ in range(300):
            ringing.ring("live")
            time.sleep(0.001)
        ringing.ring("test")
        with ear.changed:
            assert ear.changed.wait_for(lambda: "test" in ear.heard, 20)
        assert len(ear.heard) <= 3 + 100 * (time.monotonic() - began)


def test_who_rings_does_not_hear_himself(postgres: DatabaseSettings) -> None:
    ear, other = Ear(), Ear()
    with doorbell(postgres, ear) as own, doorbell(postgres, other) as stranger:
        own.ring("live")
        other.until(2)
        stranger.ring("test")
        assert ear.until(2)[1] == "test"


def test_a_listener_comes_back_after_the_server_was_away() -> None:
    with crashing_server() as server:
        settings, ear = DatabaseSettings(url=SecretStr(server.url)), Ear()
        with doorbell(settings, ear), doorbell(settings) as ringing:
            server.crash()
            server.start()
            ear.until(2)
            ringing.ring("live")
            assert ear.until(3)[2] == "live"


def test_on_sqlite_a_listener_hears_that_another_process_wrote(sqlite: DatabaseSettings) -> None:
    ear = Ear()
    with doorbell(sqlite, ear):
        write_something(sqlite)
        assert ear.until(2)[1] is None


def test_on_sqlite_what_was_missed_is_heard_later_and_once(sqlite: DatabaseSettings) -> None:
    ear = Ear()
    with doorbell(sqlite, ear):
        ear.open = False
        write_something(sqlite)
        threading.Event().wait(0.2)
        assert ear.heard == [None]
        ear.open = True
        ear.until(2)
        threading.Event().wait(0.2)
        assert ear.heard == [None, None]
