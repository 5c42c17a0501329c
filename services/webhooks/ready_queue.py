"""Deliveries that are due and wait for their turn, host by host."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

from services.webhooks.domain import Delivery

_DEPTH, _MOST = 256, 4_096


class ReadyQueue:
    """Hosts take turns. For deliveries that do not fit, only the host is remembered: more of them are in the store."""

    def __init__(self, *, depth: int = _DEPTH, most: int = _MOST) -> None:
        """`depth` bounds what waits for one host, `most` what waits at all."""
        self._depth = depth
        self._most = most
        self._waiting: dict[str, Delivery] = {}
        self._hosts: OrderedDict[str, deque[str]] = OrderedDict()
        self._cut: set[str] = set()

    @property
    def cut(self) -> frozenset[str]:
        """Hosts of which more is due than waits here."""
        return frozenset(self._cut)

    @property
    def starving(self) -> list[str]:
        """Hosts of which nothing waits here any more, although more is due."""
        return [host for host in self._cut if host not in self._hosts]

    def offer(self, delivery: Delivery) -> None:
        """A later version takes the place of the one that waits."""
        if delivery.id in self._waiting:
            self._waiting[delivery.id] = delivery
            return
        queue = self._hosts.get(delivery.host)
        if len(self._waiting) >= self._most or (queue is not None and len(queue) >= self._depth):
            self._cut.add(delivery.host)
            return
        self._waiting[delivery.id] = delivery
        self._hosts.setdefault(delivery.host, deque()).append(delivery.id)

    def take(self, has_room: Callable[[str], bool]) -> Delivery | None:
        """The next of the first host in turn that has room."""
        host = next(filter(has_room, self._hosts), None)
        if host is None:
            return None
        queue = self._hosts[host]
        delivery = self._waiting.pop(queue.popleft())
        self._hosts.move_to_end(host)
        if not queue:
            del self._hosts[host]
        return delivery

    def whole(self, host: str) -> None:
        """All that is due for the host waits here."""
        self._cut.discard(host)

    def clear(self) -> None:
        self._waiting.clear()
        self._hosts.clear()
        self._cut.clear()
