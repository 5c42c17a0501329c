"""Counters, histograms and gauges of this process.

prometheus_client has the registry and the text; its own instruments take a lock for every step and cost two to ten
times as much. Ours are counted on the event loop only, and put together when somebody asks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from itertools import accumulate, product
from math import prod
from typing import TypeAlias

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from services.telemetry.labels import Label

Key: TypeAlias = "tuple[str, ...]"
Source: TypeAlias = "Callable[[], Mapping[Key, float]]"
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
# A series that appears with its first event hides that event from `rate`; more than these would only be noise.
_SHOWN_AT_ZERO = 24
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
LONG_SECONDS = (0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
BYTES = tuple(float(1 << power) for power in range(10, 31, 2))


class Instrument(Collector):
    """One metric, known to the registry as long as the process lives."""

    def __init__(self, name: str, told: str, *labels: Label) -> None:
        self.name = name
        self.told = told
        self.labels = labels
        REGISTRY.register(self)

    @property
    def most_series(self) -> int:
        return prod(label.most for label in self.labels)

    def describe(self) -> Iterable[Metric]:
        return []

    def _key(self, values: Key) -> Key:
        return tuple(label.bounded(value) for label, value in zip(self.labels, values, strict=True))

    def _first_keys(self) -> Iterator[Key]:
        if self.most_series <= _SHOWN_AT_ZERO:
            yield from product(*(sorted(label.values) for label in self.labels))

    @property
    def _names(self) -> list[str]:
        return [label.name for label in self.labels]


class Counter(Instrument):
    """What only grows; its name ends in `_total`."""

    def __init__(self, name: str, told: str, *labels: Label) -> None:
        self._values: dict[Key, float] = {}
        super().__init__(name, told, *labels)
        self._values.update(dict.fromkeys(self._first_keys(), 0))

    def count(self, *values: str) -> None:
        try:
            self._values[values] += 1
        except KeyError:
            self.add(1, *values)

    def add(self, amount: float, *values: str) -> None:
        key = values if values in self._values else self._key(values)
        self._values[key] = self._values.get(key, 0) + amount

    def value(self, *values: str) -> float:
        return self._values.get(values, 0)

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(self.name, self.told, labels=self._names)
        for key, value in sorted(self._values.items()):
            family.add_metric(key, value)
        yield family


class Histogram(Instrument):
    """How often a measure lay within each bucket."""

    def __init__(self, name: str, told: str, *labels: Label, buckets: Iterable[float] = SECONDS) -> None:
        self._bounds = tuple(buckets)
        self._shown = (*(str(float(bound)) for bound in self._bounds), "+Inf")
        self._series: dict[Key, tuple[list[int], list[float]]] = {}
        super().__init__(name, told, *labels)
        for key in self._first_keys():
            self._begin(key)

    def observe(self, measure: float, *values: str) -> None:
        found = self._series.get(values)
        if found is None:
            key = self._key(values)
            found = self._series.get(key) or self._begin(key)
        counts, total = found
        counts[bisect_left(self._bounds, measure)] += 1
        total[0] += measure

    def count(self, *values: str) -> int:
        """How many were measured."""
        found = self._series.get(values)
        return sum(found[0]) if found else 0

    def _begin(self, key: Key) -> tuple[list[int], list[float]]:
        self._series[key] = found = ([0] * len(self._shown), [0.0])
        return found

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(self.name, self.told, labels=self._names)
        for key, (counts, [total]) in sorted(self._series.items()):
            buckets = list(zip(self._shown, map(float, accumulate(counts)), strict=True))
            family.add_metric(key, buckets, total)
        yield family


class Gauge(Instrument):
    """What is so at this moment: asked of its sources when somebody wants to know, and added up."""

    def __init__(self, name: str, told: str, *labels: Label) -> None:
        self._sources: list[Source] = []
        super().__init__(name, told, *labels)

    @contextmanager
    def read_from(self, source: Source) -> Iterator[None]:
        """For as long as the block lasts. `source` answers by the values of the labels, in their order."""
        self._sources.append(source)
        try:
            yield
        finally:
            self._sources.remove(source)

    def collect(self) -> Iterator[Metric]:
        found: dict[Key, float] = {}
        for source in self._sources:
            for values, value in source().items():
                key = self._key(values)
                found[key] = found.get(key, 0) + value
        family = GaugeMetricFamily(self.name, self.told, labels=self._names)
        for key, value in sorted(found.items()):
            family.add_metric(key, value)
        yield family


@asynccontextmanager
async def reading(sources: Mapping[Gauge, Source]) -> AsyncIterator[None]:
    """Each gauge is read from its source for as long as the block lasts."""
    with ExitStack() as stack:
        for gauge, source in sources.items():
            stack.enter_context(gauge.read_from(source))
        yield


def plain(read: Callable[[], float]) -> Source:
    """The source of a gauge without labels."""
    return lambda: {(): read()}
