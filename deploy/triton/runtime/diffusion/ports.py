"""What the engine needs from outside: somewhere to answer, and somewhere to count."""

from typing import Protocol

from streams import Event, Pixels, Sink

__all__ = ["Event", "Meter", "Pixels", "Sink", "Tally"]


class Meter(Protocol):
    """Gauges and counters by name."""

    def set(self, name: str, value: float) -> None: ...

    def add(self, name: str, amount: float = 1) -> None: ...


class Tally:
    """A meter that only remembers."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def set(self, name: str, value: float) -> None:
        self.values[name] = value

    def add(self, name: str, amount: float = 1) -> None:
        self.values[name] = self.values.get(name, 0) + amount
