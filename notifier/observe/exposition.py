"""Metrics as text: the format of Prometheus, or OpenMetrics for those who ask for it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from notifier.observe.metrics import Counts
from notifier.observe.numbers import Labels, Spread
from notifier.observe.series import Series

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

Readings = Mapping[Series, Mapping[Labels, float]]
"""Gauges as they were read. What could not be read is left out, not shown as 0."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a scrape is answered with."""

    body: bytes
    content_type: str


def page(counts: Counts, readings: Readings, accept: str) -> Page:
    """All numbers in the format that `accept`, a scraper's header, asks for. Takes milliseconds.

    The first call loads the library; its own global registry is not used.
    """
    from prometheus_client.exposition import choose_encoder
    from prometheus_client.process_collector import ProcessCollector
    from prometheus_client.registry import CollectorRegistry

    registry = CollectorRegistry()
    registry.register(_Collector(counts, readings))
    ProcessCollector(registry=registry)
    encoder, content_type = choose_encoder(accept)
    return Page(encoder(registry), content_type)


@dataclass(frozen=True, slots=True, eq=False)
class _Collector:
    counts: Counts
    readings: Readings

    def collect(self) -> "Iterable[Metric]":
        for one, values in (*self.counts.counters.items(), *self.readings.items()):
            yield _plain(one, values)
        for one, spreads in self.counts.histograms.items():
            yield _histogram(one, spreads)


def _plain(one: Series, values: Mapping[Labels, float]) -> "Metric":
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

    kind = CounterMetricFamily if one.kind == "counter" else GaugeMetricFamily
    family = kind(one.name, one.help, labels=one.labels)
    for labels, value in sorted(values.items()):
        family.add_metric(labels, value)
    return family


def _histogram(one: Series, spreads: Mapping[Labels, Spread]) -> "Metric":
    from prometheus_client.metrics_core import HistogramMetricFamily

    bounds = [*map(str, one.buckets), "+Inf"]
    family = HistogramMetricFamily(one.name, one.help, labels=one.labels)
    for labels, spread in sorted(spreads.items()):
        family.add_metric(labels, [*zip(bounds, spread.cumulated, strict=True)], spread.total)
    return family
