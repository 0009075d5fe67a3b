"""The store is looked at now and then, whoever asks."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from notifier.assembly import watch as watches
from notifier.assembly.readings import Scraper
from notifier.assembly.watch import Watch
from notifier.observe.metrics import Metrics
from notifier.settings.sections import DatabaseSettings
from notifier.store.store import Store
from tests.observe.test_metrics import samples
from tests.support.office import Office, open_office

pytestmark = pytest.mark.anyio


@pytest.fixture
async def office(database: DatabaseSettings, tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(database, tmp_path) as opened:
        yield opened


@pytest.fixture
def reads(office: Office, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the queries that were run."""
    names: list[str] = []
    read = Store.read

    async def told(store: Store, query: Any, *args: Any) -> Any:
        names.append(query.__name__)
        return await read(store, query, *args)

    monkeypatch.setattr(Store, "read", told)
    return names


async def test_many_who_ask_at_once_cause_one_look(office: Office, reads: list[str]) -> None:
    watch = Watch(office.desk.store, office.clock)
    seen = await asyncio.gather(*(watch.look() for _ in range(20)))
    await watch.look()
    assert reads == ["vitals", "later"]
    assert all(one.up and one.vitals is not None for one in seen)


async def test_after_a_while_it_looks_again_but_seldom_at_all_rows(
    office: Office, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "EVERY_S", 0.0)
    monkeypatch.setattr(watches, "SHARE", 0)
    watch = Watch(office.desk.store, office.clock)
    await watch.look()
    await watch.look()
    assert reads == ["vitals", "later", "vitals"]


async def test_a_store_that_is_away_leaves_what_was_known(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "EVERY_S", 0.0)
    monkeypatch.setattr(watches, "SHARE", 0)
    store = office.desk.store
    watch = Watch(store, office.clock)
    before = await watch.look()
    await asyncio.to_thread(store.close)
    after = await watch.look()
    assert (before.up, after.up) == (True, False)
    assert after.vitals == before.vitals


async def test_a_store_that_does_not_answer_holds_nobody_up(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "PATIENCE_S", 0.01)
    release = asyncio.Event()

    async def hang(*_: Any) -> Any:
        await release.wait()
        raise AssertionError

    with monkeypatch.context() as patched:
        patched.setattr(Store, "read", hang)
        watch = Watch(office.desk.store, office.clock)
        probed, seen = await watch.look(0), await watch.look(0.02)
    assert (probed.up, probed.vitals) == (True, None)
    assert (seen.up, seen.vitals) == (False, None)
    assert watch._looking is not None
    watch._looking.cancel()


async def test_a_scrape_tells_what_waits_and_that_the_store_is_up(
    office: Office, tmp_path: Path
) -> None:
    await office.accept()
    office.clock.move(30)
    store = office.desk.store
    scraper = Scraper("serve", Metrics(), tmp_path, store, Watch(store, office.clock))
    found = samples(await scraper(""))
    lane = "{lane=transactional,route=live}"
    assert found["notifier_queue_depth" + lane] == 1
    assert 30 <= found["notifier_queue_oldest_age_seconds" + lane] < 35
    assert found["notifier_queue_scheduled" + lane] == 0
    assert (found["notifier_store_up"], found["notifier_held_messages"]) == (1, 0)
    assert "notifier_seats{state=busy}" not in found


async def test_a_scrape_without_a_store_still_tells_the_rest(
    office: Office, tmp_path: Path
) -> None:
    store = office.desk.store
    await asyncio.to_thread(store.close)
    found = samples(
        await Scraper("serve", Metrics(), tmp_path, store, Watch(store, office.clock))("")
    )
    assert found["notifier_store_up"] == 0
    assert found["notifier_messages_total{status=sent}"] == 0
    assert not [name for name in found if name.startswith("notifier_queue")]
