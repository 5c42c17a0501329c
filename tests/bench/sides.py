"""What the passes need of a stack that is measured."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol

from tests.bench.connection import Connection

# What the caller asks for: about the size of a real request.
PROMPT = "a lighthouse at dusk, oil on canvas"


def batched(ids: Sequence[str], size: int) -> Iterator[list[str]]:
    """`size` at a time."""
    for start in range(0, len(ids), size):
        yield list(ids[start : start + size])


class Side(Protocol):
    """A running stack."""

    @property
    def name(self) -> str: ...

    @property
    def address(self) -> tuple[str, int]:
        """Where its HTTP API listens."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Sent with every request."""
        ...

    @property
    def pids(self) -> Mapping[str, int]:
        """The root of each role's process tree."""
        ...

    async def submit(self, connection: Connection) -> str:
        """Posts one no-op task and answers its id. Raises RuntimeError when it is refused."""
        ...

    async def follow(self, connection: Connection) -> float | None:
        """Posts one and returns when the caller knows it is done; seconds to the first answer, if there are two."""
        ...

    async def drain(self, ids: Collection[str], patience: float) -> None:
        """Until all of them are done and everything they set off has come to rest; `patience` in seconds."""
        ...

    async def ends(self, ids: Collection[str]) -> dict[str, float]:
        """When each was done, by the wall clock; who is missing is not done."""
        ...

    async def doubled(self, ids: Collection[str]) -> int:
        """How many of them ended more than once."""
        ...
