"""What the kit keeps: versioned aggregates, and what use cases need of their repositories."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar


class Aggregate(Protocol):
    """Frozen: a change makes another one, whose `version` is one higher."""

    @property
    def id(self) -> str: ...

    @property
    def tenant(self) -> str: ...

    @property
    def version(self) -> int: ...


class OutboxEntry(Protocol):
    """Something that has happened: `<aggregate>.<version>` names its event for ever."""

    @property
    def version(self) -> int: ...


class PublishedAggregate(Aggregate, Protocol):
    """A dataclass whose document also holds what is still to be published of it."""

    @property
    def outbox(self) -> tuple[OutboxEntry, ...]: ...

    @property
    def over(self) -> bool:
        """Whether hardly anything will happen to it any more."""
        ...


AggregateT = TypeVar("AggregateT", bound=Aggregate)
PublishedT = TypeVar("PublishedT", bound=PublishedAggregate)


class InsertResult(NamedTuple, Generic[AggregateT]):
    """What stands under the id now; `existing` when it is somebody else's, from before."""

    stored: AggregateT
    existing: bool


class Repository(Protocol[AggregateT]):
    """Aggregates, each one a document under compare-and-set on its version."""

    def add(self, aggregate: AggregateT, /) -> Awaitable[InsertResult[AggregateT]]:
        """Goes with the group that is written next, which is not before the caller waits. Raises Overloaded."""
        ...

    def save(self, aggregate: AggregateT, /) -> Awaitable[bool]:
        """As `add`; false when the stored version is not the one `aggregate` was made from."""
        ...

    async def get(self, aggregate_id: str, /) -> AggregateT:
        """What a cache holds of it, or the store. Raises NotFound."""
        ...


class CachingRepository(Repository[AggregateT], Protocol):
    """One that remembers what it wrote lately."""

    def add(self, aggregate: AggregateT, /) -> asyncio.Future[InsertResult[AggregateT]]: ...

    def save(self, aggregate: AggregateT, /) -> asyncio.Future[bool]: ...

    def known(self, aggregate_id: str, /) -> AggregateT | None:
        """What the cache holds of it, which may be old."""
        ...

    async def get_fresh(self, aggregate_id: str, /) -> AggregateT:
        """Past every cache. Raises NotFound."""
        ...

    async def get_many(self, aggregate_ids: Sequence[str], /, *, fresh: bool = False) -> dict[str, AggregateT]:
        """Those that exist and can be read; `fresh`: past every cache."""
        ...
