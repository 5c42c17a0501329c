"""What the processes of a stack say of themselves, as a test reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from deploy.local.ports import HOST
from deploy.local.settings import Ports, metrics_of

PROCESSES = ("gateway", "tasks", "storage", "inference")


class Scrape:
    """The samples of one answer."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self._samples = [sample for family in self.families.values() for sample in family.samples]

    def total(self, sample: str, **labels: str) -> float:
        """Of every series that has these labels."""
        wanted = labels.items()
        return sum(found.value for found in self._samples if found.name == sample and wanted <= found.labels.items())

    def values(self, label: str) -> Iterator[str]:
        return (found.labels[label] for found in self._samples if label in found.labels)


def address_of(process: str, ports: Ports) -> str:
    return f"http://{HOST}:{getattr(ports, metrics_of(process))}/metrics"


def scrape(process: str, ports: Ports) -> Scrape:
    answer = httpx2.get(address_of(process, ports), timeout=20)
    answer.raise_for_status()
    return Scrape(answer.text)


def scrape_all(ports: Ports) -> Mapping[str, Scrape]:
    return {process: scrape(process, ports) for process in PROCESSES}
