"""Limits on connections and idle time, so that no silent or slow client keeps the others out."""

from __future__ import annotations

import asyncio
import resource
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Protocol

import structlog

from services.common.errors import ComputeError, Overloaded, Unavailable

log = structlog.get_logger()
Network = IPv4Network | IPv6Network
# Of the process's file descriptors, kept for everything else it opens.
_KEPT_DESCRIPTORS = 64
_LONGEST_TICK = 1.0
_RETRY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class ClientTimeouts:
    """Seconds: for a request's head, between two requests, without a byte of a body, without a byte being read of an
    answer. Bodies and answers move at least `rate` bytes a second on the average, once their patience is over."""

    head: float
    idle: float
    body: float
    answer: float
    rate: float

    @property
    def tick(self) -> float:
        """How often to look."""
        return min(_LONGEST_TICK, min(self.head, self.idle, self.body, self.answer) / 4)


class Connection(Protocol):
    """As the limiter sees it."""

    def check(self, passed: float) -> None:
        """Closes itself where its client has used up its patience; `passed` seconds after the last time."""
        ...

    def evict(self) -> None:
        """Closes itself: somebody else needs the place more."""
        ...


class ThroughputCheck:
    """Whether bytes move as fast as they must, from when it is first asked on."""

    __slots__ = ("_idle", "_moved", "_seconds", "_start")

    def __init__(self, moved: int) -> None:
        """`moved` so far, by whatever count."""
        self._start = self._moved = moved
        self._seconds = self._idle = 0.0

    def too_slow(self, moved: int, passed: float, *, patience: float, rate: float) -> bool:
        self._seconds += passed
        self._idle = 0.0 if moved != self._moved else self._idle + passed
        self._moved = moved
        return self._idle >= patience or self._seconds > patience + (moved - self._start) / rate


class ConnectionLimiter:
    """Counts connections, in all and by address, and looks after each once in a while.

    Who comes when it is full takes the place of whoever has been silent longest. Where nobody is silent there is a
    little room left for health checks: the newest of those who are turned away may ask for that, and for nothing else.
    """

    def __init__(
        self, patience: ClientTimeouts, *, most: int, per_address: int, trusted: Iterable[Network] = ()
    ) -> None:
        """Connections from `trusted` networks are those of proxies: each brings many callers."""
        self.patience = patience
        # Coarse, and stands still while the whole process does: a stall of ours is no fault of a client's.
        self.now = 0.0
        self._most, self._room = _within_descriptors(most)
        self._per_address = min(per_address, max(1, self._most // 2))
        self._trusted = tuple(trusted)
        self._all: dict[Connection, str | None] = {}
        self._of_address: defaultdict[str, set[Connection]] = defaultdict(set)
        # Longest first: who never sent a request yet, then who has its answer and rests, by its own word.
        self._silent: dict[Connection, None] = {}
        self.resting: dict[Connection, None] = {}
        self._turned_away: dict[Connection, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._evicted = self._refused = 0

    def trusts(self, address: str | None) -> bool:
        """Without an address it is a socket of this machine."""
        if address is None:
            return True
        parsed = ip_address(address.partition("%")[0])
        parsed = getattr(parsed, "ipv4_mapped", None) or parsed
        return any(parsed in network for network in self._trusted)

    def enter(self, connection: Connection, address: str | None, *, trusted: bool) -> ComputeError | None:
        """Why it is turned away, if it is."""
        self._watch()
        self._all[connection] = address = None if trusted else address
        refusal = self._of_its_own(address) or self._of_all()
        if refusal is None:
            if address is not None:
                self._of_address[address].add(connection)
            self._silent[connection] = None
            return None
        self._refused += 1
        self._turned_away[connection] = None
        if len(self._turned_away) > self._room:
            self._evict(next(iter(self._turned_away)))
        return refusal

    def leave(self, connection: Connection) -> None:
        """Again changes nothing."""
        address = self._all.pop(connection, None)
        if address is not None:
            self._of_address[address].discard(connection)
            if not self._of_address[address]:
                del self._of_address[address]
        for waiting in (self._silent, self.resting, self._turned_away):
            waiting.pop(connection, None)

    def spoke(self, connection: Connection) -> None:
        """It has sent its first request."""
        self._silent.pop(connection, None)

    def _of_its_own(self, address: str | None) -> ComputeError | None:
        others = self._of_address.get(address, set()) if address is not None else set()
        if len(others) < self._per_address:
            return None
        silent = next((item for waiting in (self._silent, self.resting) for item in waiting if item in others), None)
        if silent is None:
            said = "too many connections from this address are in use"
            return Overloaded(said, reason="TOO_MANY_CONNECTIONS", retry_after=_RETRY_SECONDS)
        self._evict(silent)
        return None

    def _of_all(self) -> ComputeError | None:
        if len(self._all) - len(self._turned_away) <= self._most:
            return None
        silent = next((item for waiting in (self._silent, self.resting) for item in waiting), None)
        if silent is None:
            said = "too many connections are in use"
            return Unavailable(said, reason="TOO_MANY_CONNECTIONS", retry_after=_RETRY_SECONDS)
        self._evict(silent)
        return None

    def _evict(self, connection: Connection) -> None:
        self._evicted += 1
        self.leave(connection)
        connection.evict()

    def _watch(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self.patience.tick, self._look, loop, loop.time())

    def _look(self, loop: asyncio.AbstractEventLoop, last: float) -> None:
        tick, time = self.patience.tick, loop.time()
        passed = min(time - last, 2 * tick)
        self.now += passed
        for connection in list(self._all):
            connection.check(passed)
        self._tell()
        self._timer = loop.call_later(tick, self._look, loop, time) if self._all else None

    def _tell(self) -> None:
        if self._refused or self._evicted:
            log.warning(
                "connections crowded", connected=len(self._all), turned_away=self._refused, made_room=self._evicted
            )
        self._refused = self._evicted = 0


def networks(text: str) -> tuple[Network, ...]:
    """Of a comma-separated list of addresses and networks; `*` is every one. Raises ValueError."""
    found: list[Network] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        found += [ip_network("0.0.0.0/0"), ip_network("::/0")] if part == "*" else [ip_network(part)]
    return tuple(found)


def _within_descriptors(wanted: int) -> tuple[int, int]:
    """How many connections there may be and how many are let in beyond it to be turned away, of `wanted` in all."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if allowed != resource.RLIM_INFINITY:
        wanted = min(wanted, allowed - max(_KEPT_DESCRIPTORS, allowed // 4))
    room = max(2, min(64, wanted // 16))
    return max(1, wanted - room), room
