"""Labels of metrics. A value that is not known beforehand is shown as `other`: no text of a caller can be one."""

from __future__ import annotations

from collections.abc import Iterable

OTHER = "other"


class Label:
    """Has the values it is made with, and at most `room` more that this process declares later."""

    def __init__(self, name: str, values: Iterable[str] = (), *, room: int = 0) -> None:
        self.name = name
        self._values = {*values, OTHER}
        self._most = len(self._values) + room

    @property
    def most(self) -> int:
        """How many values there can ever be."""
        return self._most

    @property
    def values(self) -> frozenset[str]:
        return frozenset(self._values)

    def declare(self, *values: str) -> None:
        """From here on these are shown by their names, as far as there is room."""
        for value in values:
            if len(self._values) < self._most:
                self._values.add(value)

    def bounded(self, value: str) -> str:
        return value if value in self._values else OTHER
