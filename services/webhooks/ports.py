"""What the use cases need from the outside world."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.common.paging import ListPage, ListWindow
from services.durable.aggregates import Repository
from services.webhooks.domain import Delivery, DeliveryState, Endpoint, SecretPair


@dataclass(frozen=True, slots=True)
class DeliveryQuery:
    """What a list shows; None means any."""

    tenant: str | None = None
    state: DeliveryState | None = None
    task_id: str | None = None
    url: str | None = None

    @property
    def begin(self) -> str:
        """Of what such deliveries are listed by."""
        return "" if self.tenant is None else f"{self.tenant}/"


@dataclass(frozen=True, slots=True)
class EndpointResponse:
    """What came of calling an address. `status` 0 where nobody answered; `retry_after` in seconds."""

    status: int
    error: str = ""
    retry_after: float | None = None


class DeliveryRepository(Repository[Delivery], Protocol):
    """Deliveries, each one a document under compare-and-set on its version."""

    async def find(self, wanted: DeliveryQuery, window: ListWindow) -> ListPage[Delivery]:
        """Newest first."""
        ...

    async def due(self, now: int, *, since: int, without: Collection[str], limit: int) -> list[Delivery]:
        """What became due from `since` until now, in that order; nothing for the hosts `without`."""
        ...

    async def due_at(self, host: str, now: int, *, limit: int) -> list[Delivery]:
        """What is due for one host, longest overdue first."""
        ...

    async def next_due(self, after: int) -> int | None:
        """When the first later one will be due."""
        ...

    async def remove(self, deliveries: Sequence[Delivery]) -> None:
        """Those that are still at that version."""
        ...


class EndpointRepository(Protocol):
    """Addresses that are disabled, by tenant and URL."""

    async def add(self, endpoint: Endpoint) -> None:
        """The first reason stands."""
        ...

    async def get(self, endpoint_id: str) -> Endpoint | None: ...

    async def remove(self, endpoint_id: str) -> bool:
        """False when it was not there."""
        ...


class SecretRepository(Protocol):
    """One pair of secrets for each tenant."""

    async def get(self, tenant: str) -> SecretPair:
        """Makes the first one where there is none; the same for everybody who asks."""
        ...

    async def save(self, pair: SecretPair) -> bool:
        """False when somebody else rotated meanwhile."""
        ...


class DeliveryTransport(Protocol):
    """Sends a delivery once."""

    async def call(self, delivery: Delivery) -> EndpointResponse:
        """Never raises for what the other side does."""
        ...


class DeliveryClock(Protocol):
    """Says when things happen; who owns what is judged by `elapsed` alone."""

    def now(self) -> int:
        """Microseconds since the epoch."""
        ...

    def elapsed(self) -> float:
        """Seconds since some moment, never set back."""
        ...
