"""How one kind of aggregate becomes a document and is read again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic

import structlog

from services.common.errors import Internal, NotFound
from services.durable.aggregates import AggregateT
from services.durable.store import Document

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Codec(Generic[AggregateT]):
    """How one kind of aggregate is stored.

    `write` makes a new document each time. `read` may raise KeyError, TypeError and ValueError for what a later version
    wrote. `not_found` and `unreadable` are the reasons of the errors that say so.
    """

    kind: str
    write: Callable[[AggregateT], Document]
    read: Callable[[Document], AggregateT]
    not_found: str
    unreadable: str

    def decode(self, document: Document) -> AggregateT:
        """Raises Internal for what a later version may have written."""
        try:
            return self.read(document)
        except (KeyError, TypeError, ValueError) as error:
            raise Internal(f"{self.kind} {document['_id']} cannot be read", reason=self.unreadable) from error

    def readable(self, documents: Iterable[Document]) -> list[AggregateT]:
        """Those this version understands: one that a later version wrote must not hide its neighbours."""
        found = []
        for document in documents:
            try:
                found.append(self.decode(document))
            except Internal:
                log.error("not understood", kind=self.kind, id=document["_id"])
        return found

    def missing(self, aggregate_id: str) -> NotFound:
        said = f"{self.kind} {aggregate_id} does not exist" if aggregate_id else f"no {self.kind} has an empty id"
        return NotFound(said, reason=self.not_found)
