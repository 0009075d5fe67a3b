"""Gauges: read from store, relays, dispatchers and disk at the moment of a scrape."""

import asyncio
import platform
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

import notifier
from notifier.assembly.delivery import Delivery
from notifier.assembly.watch import Seen, Watch
from notifier.observe import series
from notifier.observe.exposition import Page, page
from notifier.observe.metrics import Metrics
from notifier.observe.numbers import Labels
from notifier.observe.series import Series
from notifier.smtp.breaker import State
from notifier.smtp.relays import Relays
from notifier.store.store import Store

Gauges = dict[Series, Mapping[Labels, float]]

_STATES: Final[tuple[State, ...]] = get_args(State)


@dataclass(frozen=True, slots=True)
class Scraper:
    """Answers a scrape. What a role does not have is None, and its gauges are left out."""

    role: str
    metrics: Metrics
    data_dir: Path
    store: Store | None = None
    watch: Watch | None = None
    delivery: Delivery | None = None

    async def __call__(self, accept: str) -> Page:
        """All metrics. With a store that is away, those that are known without it."""
        gauges: Gauges = {series.BUILD: _build(self.role), **_disk(self.data_dir)}
        if self.store is not None:
            gauges |= _of_process(self.store)
        if self.watch is not None:
            gauges |= _of_store(await self.watch.look())
        if self.delivery is not None:
            gauges |= _seats(self.delivery) | _relays(self.delivery.relays)
        # In a thread: the first call loads the library.
        return await asyncio.to_thread(page, self.metrics.read(), gauges, accept)


def _build(role: str) -> Mapping[Labels, float]:
    return {(notifier.__version__, platform.python_version(), role): 1}


def _disk(data_dir: Path) -> Gauges:
    try:
        usage = shutil.disk_usage(data_dir)
    except OSError:
        return {}
    return {series.DISK_FREE: {(): usage.free}, series.DISK_SIZE: {(): usage.total}}


def _of_process(store: Store) -> Gauges:
    return {
        series.WRITES_WAITING: {(): store.writes_waiting},
        series.CLOCK_AHEAD_S: {(): store.now.ahead.total_seconds()},
    }


def _of_store(seen: Seen) -> Gauges:
    gauges: Gauges = {series.STORE_UP: {(): float(seen.up)}}
    if seen.later is not None:
        later = seen.later.items()
        gauges[series.QUEUE_SCHEDULED] = {
            (route, lane.stream): count for (route, lane), count in later
        }
    found = seen.vitals
    if found is None or seen.at is None:
        return gauges
    age_s = time.monotonic() - seen.at
    return gauges | {
        series.QUEUE_DEPTH: {(one.route, one.lane.stream): one.due for one in found.depths},
        # What has waited at the time of the look has waited on since.
        series.QUEUE_AGE_S: {
            (one.route, one.lane.stream): one.oldest_age_s + age_s if one.due else 0.0
            for one in found.depths
        },
        series.QUEUE_READ_S: {(): age_s},
        series.HELD: {(): found.held},
        series.STORE_INFO: {found.server: 1},
    }


def _seats(delivery: Delivery) -> Gauges:
    busy = sum(dispatcher.busy for dispatcher in delivery.dispatchers)
    seats = sum(dispatcher.seats for dispatcher in delivery.dispatchers)
    return {series.SEATS: {("busy",): busy, ("free",): seats - busy}}


def _relays(relays: Relays) -> Gauges:
    found = relays.health()
    return {
        series.RELAY_UP: {(one.name,): float(one.state == "up") for one in found},
        series.RELAY_STATE: dict(_states((one.name, one.state) for one in found)),
        series.RELAY_CONNECTIONS: {(one.name,): one.connections for one in found},
        series.RELAY_LIMIT: {(one.name,): one.limit for one in found},
        series.RELAY_MAILS: {
            (one.name, state): count
            for one in found
            for state, count in (("waiting", one.waiting), ("under_way", one.under_way))
        },
    }


def _states(found: Iterable[tuple[str, State]]) -> Iterable[tuple[Labels, float]]:
    for name, present in found:
        for state in _STATES:
            yield (name, state), float(state == present)
