"""A cache bounded by what it holds as well as by how much: what was used longest ago goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)
ValueT = TypeVar("ValueT")


class BoundedCache(Generic[KeyT, ValueT]):
    """At most `entries`, of `size` in all as their users count it. With no entries it keeps nothing."""

    def __init__(self, *, entries: int, size: int) -> None:
        self._entries = entries
        self._size = size
        self._kept: OrderedDict[KeyT, tuple[ValueT, int]] = OrderedDict()
        self._used = 0

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def used(self) -> int:
        """Of its size."""
        return self._used

    def get(self, key: KeyT) -> ValueT | None:
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return found[0]

    def put(self, key: KeyT, value: ValueT, size: int) -> None:
        """Replaces what is kept under the key; what is larger than the whole cache is not kept."""
        self.drop(key)
        if size > self._size:
            return
        self._kept[key] = (value, size)
        self._used += size
        while self._used > self._size or len(self._kept) > self._entries:
            self._used -= self._kept.popitem(last=False)[1][1]

    def drop(self, key: KeyT) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self._used -= found[1]
