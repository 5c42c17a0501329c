"""What the step cache keeps: of each piece of work who does it now, who waits for it, and what came of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from services.workflows.ports import StepName

_PLACES = 4


class CacheEntry(NamedTuple):
    """A success. `files` are what its task stored, by path and hash; `places` where copies of each of them lie, in that
    order, the first of them the files themselves. `seconds` and `cost_usd` are what making it took.
    """

    made_by: StepName
    task_id: str
    made_at: int
    result: Mapping[str, Any]
    pictures: Mapping[str, str]
    files: Sequence[tuple[str, str]]
    places: Sequence[Sequence[str]]
    seconds: float
    cost_usd: float | None

    def copied(self, place: Sequence[str]) -> CacheEntry:
        """Of many copies the original and the latest are remembered."""
        later = [*self.places[1:], place][1 - _PLACES :]
        return self._replace(places=[self.places[0], *later])


class CacheHit(NamedTuple):
    """What a step was given instead of a task."""

    result: Mapping[str, Any]
    made_by: StepName
    task_id: str
    made_at: int
    seconds: float
    cost_usd: float | None


@dataclass(frozen=True)
class CacheRecord:
    """One piece of work of one tenant. `leader` is whose task does it now, since `since`; `waiters` get what it makes.

    `left` says that the leader's own workflow wants it no more; the task `to_clean` is to be cleaned up once it is over
    and those who waited have their copies.
    """

    tenant: str
    key: str
    version: int = 0
    used: int = 0
    since: int = 0
    leader: StepName | None = None
    waiters: tuple[StepName, ...] = ()
    left: bool = False
    to_clean: StepName | None = None
    entry: CacheEntry | None = None

    def led_by(self, leader: StepName, waiters: Collection[StepName], now: int) -> CacheRecord:
        """Begun anew."""
        rest = tuple(dict.fromkeys(name for name in waiters if name != leader))
        return replace(self, used=now, since=now, leader=leader, waiters=rest, left=False, entry=None)

    def joined(self, waiters: Collection[StepName]) -> CacheRecord:
        return replace(self, waiters=tuple(dict.fromkeys([*self.waiters, *waiters])))

    def without(self, waiters: Collection[StepName]) -> CacheRecord:
        return replace(self, waiters=tuple(name for name in self.waiters if name not in waiters))

    def over(self, now: int, entry: CacheEntry | None) -> CacheRecord:
        """Nobody does it any more."""
        return replace(self, used=now, leader=None, waiters=(), left=False, entry=entry)

    def used_at(self, now: int, entry: CacheEntry | None) -> CacheRecord:
        return replace(self, used=now, entry=entry)


class CacheRepository(Protocol):
    """Each record a document under compare-and-set on its version."""

    async def get(self, tenant: str, key: str) -> CacheRecord | None: ...

    async def save(self, record: CacheRecord) -> bool:
        """As its next version; false where somebody else was faster."""
        ...

    async def led_by(self, names: Sequence[StepName]) -> list[CacheRecord]:
        """Those that one of these does now."""
        ...

    async def left(self, tenant: str = "") -> list[CacheRecord]:
        """Those that their leader's own workflow wants no more; of every tenant without one."""
        ...

    async def to_clean(self, before: int) -> list[CacheRecord]:
        """Those that nobody does any more and that were not used since, whose task is to be cleaned up."""
        ...

    async def evict(self, *, before: int, most: int) -> int:
        """Drops what was not used since, and of each tenant's what is more than `most`; answers how many."""
        ...


class HitRepository(Protocol):
    """Written once each, after the files they name."""

    async def add(self, hits: Mapping[StepName, CacheHit]) -> None: ...

    async def get(self, names: Sequence[StepName]) -> dict[StepName, CacheHit]: ...
