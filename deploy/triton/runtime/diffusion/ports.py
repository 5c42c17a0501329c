"""What the engine needs from outside: somewhere to answer, and somewhere to count."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .errors import RequestError

Pixels = NDArray[np.uint8]
Event = dict[str, Any]


class Sink(Protocol):
    """One request's way back to its client; every stream ends with one `finish` or one `fail`."""

    def cancelled(self) -> bool: ...

    def send(self, event: Event, preview: Pixels | None = None) -> None: ...

    def finish(self, event: Event, picture: Pixels | None = None) -> None: ...

    def fail(self, error: RequestError) -> None: ...


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
