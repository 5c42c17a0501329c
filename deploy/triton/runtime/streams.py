"""The way back to the client of a model that answers in a stream."""

from typing import Any, Protocol

import numpy as np
from failures import RequestError
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Event = dict[str, Any]


class Sink(Protocol):
    """One request's way back to its client; every stream ends with one `finish` or one `fail`."""

    def cancelled(self) -> bool: ...

    def send(self, event: Event, preview: Pixels | None = None) -> None: ...

    def finish(self, event: Event, picture: Pixels | None = None) -> None: ...

    def fail(self, error: RequestError) -> None: ...
