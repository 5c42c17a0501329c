"""A fair queue: whoever waits with little is not kept waiting by whoever waits with much."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Container
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")
# An occasional caller finds it so from its second create on.
_CONTENDED_SECONDS = 10.0


class FairQueue(Generic[ItemT]):
    """Bounded; gives out one item of each tenant in turn (round robin), those of one tenant in their order.

    A tenant may hold as many as are still free (a dynamic threshold): alone `share`, each of two two thirds of it, and
    so on; so there is always room for one who comes with its first.
    """

    def __init__(self, share: int) -> None:
        self._capacity = 2 * share
        self._size = 0
        self._items: dict[str, deque[ItemT]] = {}
        self._turns: deque[str] = deque()
        self._latest: str | None = None
        self._alternated = -math.inf

    def __len__(self) -> int:
        return self._size

    def has_room(self, tenant: str) -> bool:
        held = self._items.get(tenant)
        return (len(held) if held else 0) < self._capacity - self._size

    @property
    def contended(self) -> bool:
        """Whether more than one tenant has come within the last seconds."""
        return time.monotonic() - self._alternated < _CONTENDED_SECONDS

    def put(self, tenant: str, item: ItemT) -> None:
        if tenant != self._latest:
            if self._latest is not None:
                self._alternated = time.monotonic()
            self._latest = tenant
        held = self._items.get(tenant)
        if held is None:
            held = self._items[tenant] = deque()
            self._turns.append(tenant)
        held.append(item)
        self._size += 1

    def take(self, passed_over: Container[str] = ()) -> ItemT | None:
        """None where nothing is left but what tenants wait with that are `passed_over`; they keep their turns."""
        tenant = next((name for name in self._turns if name not in passed_over), None)
        if tenant is None:
            return None
        self._turns.remove(tenant)
        held = self._items[tenant]
        self._size -= 1
        if len(held) > 1:
            self._turns.append(tenant)
        else:
            del self._items[tenant]
        return held.popleft()
