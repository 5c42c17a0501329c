"""The number of each write: its token in the document says whose write stands."""

from __future__ import annotations

from typing import Generic
from uuid import uuid4

from services.durable.aggregates import AggregateT


def token(owner: str, number: int) -> str:
    """Ordered by number as text, so that a range of it is a range of strings."""
    return f"{owner}:{number:016d}"


class WriteLog(Generic[AggregateT]):
    """Of one process, whose writes interest nobody else: for aggregates without an outbox."""

    def __init__(self) -> None:
        self.owner = uuid4().hex
        self._number = 0

    def begin(self) -> int:
        """Before a write: its number."""
        self._number += 1
        return self._number

    def written(self, number: int, aggregate: AggregateT) -> None:
        """The write is durable."""

    def dropped(self, number: int) -> None:
        """The write changed nothing."""

    def pruned(self, aggregate: AggregateT) -> AggregateT:
        """As it is to be stored."""
        return aggregate
