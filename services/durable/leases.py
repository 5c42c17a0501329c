"""What is under way: whose each run is, and until when its holder's word for it holds. No I/O."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

KeyT = TypeVar("KeyT")


@dataclass(slots=True)
class Lease:
    """A run as its holder last confirmed it; `until` and `remind_at` are this process's monotonic clock.

    `fence` tells it from other runs of the same aggregate: every write of its holder bears it. What is not `written` is
    a place kept for a run that is on its way to the store. `group` and `holder` are counted.
    """

    id: str
    fence: int
    group: str
    holder: str | None
    until: float
    remind_at: float = math.inf
    progress: float = 0.0
    version: int = 0
    written: bool = False

    @property
    def unconfirmed(self) -> bool:
        """Its holder has never spoken of it."""
        return self.remind_at < math.inf


class LeaseTable:
    """One for each run. Seconds: `lease` of silence end a run, `claim` of them call for a reminder."""

    def __init__(self, lease: float, claim: float) -> None:
        self._lease = lease
        self._claim = claim
        self._leases: dict[str, Lease] = {}
        self._running: Counter[str] = Counter()
        self._held: Counter[str | None] = Counter()

    def __iter__(self) -> Iterator[Lease]:
        return iter(self._leases.values())

    def __len__(self) -> int:
        return len(self._leases)

    def get(self, name: str) -> Lease | None:
        return self._leases.get(name)

    @property
    def by_group(self) -> dict[str, int]:
        """How many run in each."""
        return dict(self._running)

    def running(self, group: str) -> int:
        return self._running[group]

    def held(self, holder: str) -> int:
        """How many places of its are taken."""
        return self._held[holder]

    def reserve(self, name: str, fence: int, group: str, holder: str, *, until: float = math.inf) -> Lease | None:
        """Keeps a place; None where a run of that name is known."""
        return None if name in self._leases else self._add(Lease(name, fence, group, holder, until))

    def begin(self, name: str, fence: int, group: str, holder: str | None, *, version: int) -> bool:
        """A run that is in the store. False where it is known already."""
        known = self._leases.get(name)
        if known is not None and known.written and known.fence == fence:
            return False
        self.drop(name)
        now = time.monotonic()
        lease = Lease(name, fence, group, holder, now + self._lease, now + self._claim, version=version, written=True)
        self._add(lease)
        return True

    def drop(self, name: str) -> Lease | None:
        lease = self._leases.pop(name, None)
        if lease is not None:
            _less(self._running, lease.group)
            _less(self._held, lease.holder)
        return lease

    def vacate(self, name: str, fence: int) -> None:
        """Its holder says that it is over: the place is free, though the end is still to be written."""
        lease = self._leases.get(name)
        if lease is not None and lease.fence == fence:
            _less(self._held, lease.holder)
            lease.holder = None
            self._held[None] += 1

    def _add(self, lease: Lease) -> Lease:
        self._leases[lease.id] = lease
        self._running[lease.group] += 1
        self._held[lease.holder] += 1
        return lease

    def renew(self, name: str, fence: int, progress: float = 0.0) -> bool:
        """False where that is not the run that is known."""
        lease = self._leases.get(name)
        if lease is None or lease.fence != fence or not lease.written:
            return False
        lease.until, lease.remind_at, lease.progress = time.monotonic() + self._lease, math.inf, progress
        return True

    def unconfirmed(self, name: str, fence: int) -> bool:
        """Whether it runs as far as is known here, while its holder has not said so yet."""
        lease = self._leases.get(name)
        return lease is not None and lease.fence == fence and lease.unconfirmed

    def unconfirmed_by_group(self) -> dict[str, int]:
        """How many of each group nobody has confirmed yet."""
        return Counter(lease.group for lease in self._leases.values() if not lease.written or lease.unconfirmed)

    def to_remind(self, now: float) -> list[Lease]:
        """Those whose holders ought to have spoken of them; the next reminder is due later."""
        found = [lease for lease in self._leases.values() if lease.remind_at <= now]
        for lease in found:
            lease.remind_at = now + self._claim
        return found

    def late(self, now: float) -> list[Lease]:
        return [lease for lease in self._leases.values() if lease.until <= now]

    def extend_deadlines(self, stalled: float) -> None:
        """Those many seconds of silence were this process's own."""
        for lease in self._leases.values():
            lease.until += stalled
            lease.remind_at += stalled


def _less(counts: Counter[KeyT], key: KeyT) -> None:
    """Nothing stays of what is not there any more."""
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
