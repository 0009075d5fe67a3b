"""What a process tells of itself: its log, its metrics, and whether it is well."""

import asyncio
from dataclasses import dataclass

from notifier.api.frame import Health, HealthCheck, Scrape
from notifier.assembly.delivery import Delivery
from notifier.assembly.health import Condition
from notifier.assembly.readings import Scraper
from notifier.assembly.watch import Watch
from notifier.observe.alarms import Alarms
from notifier.observe.facts import Observer, each_of
from notifier.observe.metrics import Metrics
from notifier.settings import Settings
from notifier.settings.relay_url import CAPTURE
from notifier.store.store import Store


@dataclass(frozen=True, slots=True)
class Instruments:
    """Those that are there before anything is opened. `observe` feeds them all."""

    metrics: Metrics
    alarms: Alarms
    observe: Observer

    def of_mailbox(self, settings: Settings, stop: asyncio.Event) -> tuple[HealthCheck, Scrape]:
        """`/readyz` and `/metrics` of the mailbox alone: it has no store to ask."""

        async def health() -> Health:
            return Health("draining" if stop.is_set() else "ready")

        return health, Scraper("mailbox", self.metrics, settings.data_dir)

    def of_service(
        self,
        role: str,
        store: Store,
        delivery: Delivery | None,
        stop: asyncio.Event,
        settings: Settings,
    ) -> tuple[HealthCheck, Scrape]:
        """The same for all other roles. `delivery` is None where others deliver."""
        watch = Watch(store, store.now)
        condition = Condition(
            store=store,
            watch=watch,
            alarms=self.alarms,
            stop=stop,
            relays=delivery.relays if delivery else None,
            data_dir=settings.data_dir if store.database.is_sqlite else None,
        )
        scraper = Scraper(role, self.metrics, settings.data_dir, store, watch, delivery)
        return condition, scraper


def instruments(settings: Settings, log: Observer) -> Instruments:
    """All of them, with `log` as the one that writes."""
    metrics, alarms = Metrics([*settings.relays, CAPTURE]), Alarms()
    return Instruments(metrics, alarms, each_of(metrics.observe, alarms.observe, log))
