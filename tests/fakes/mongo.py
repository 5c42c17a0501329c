"""Documents in memory behind the part of motor's interface that the tasks service uses; its process may die between
any two commands, within a group of writes, and between a command and its answer."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from pymongo import ReplaceOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from tests.waiting import turns

Document = dict[str, Any]
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": lambda value, bound: value > bound,
    "$gte": lambda value, bound: value >= bound,
    "$lt": lambda value, bound: value < bound,
    "$lte": lambda value, bound: value <= bound,
    "$in": lambda value, among: value in among,
}


class DiedError(Exception):
    """The process is no more."""


@dataclass
class Life:
    """Of one process: how many more of its steps it takes, where that is decided."""

    steps_left: int | None = None
    over: bool = False

    async def step(self) -> None:
        """Raises DiedError from its end on."""
        await turns()
        if self.steps_left is not None:
            self.steps_left -= 1
            self.over = self.over or self.steps_left <= 0
        if self.over:
            raise DiedError


@dataclass
class Store:
    """What every process shares. `on_written` hears of each write that was applied: its collection and document."""

    on_written: Callable[[str, Document], None] = lambda *_: None
    collections: dict[str, dict[str, Document]] = field(default_factory=dict)


class Database:
    """One process's connection to the store."""

    def __init__(self, store: Store, life: Life) -> None:
        self._store = store
        self._life = life

    def __getitem__(self, name: str) -> Collection:
        return Collection(name, self._store, self._life)


class Cursor:
    def __init__(self, found: list[Document], life: Life) -> None:
        self._found = found
        self._life = life

    def sort(self, name: str, direction: int) -> Cursor:
        self._found.sort(key=lambda document: document[name], reverse=direction < 0)
        return self

    def skip(self, count: int) -> Cursor:
        self._found = self._found[count:]
        return self

    def limit(self, count: int) -> Cursor:
        self._found = self._found[:count] if count else self._found
        return self

    def batch_size(self, _: int) -> Cursor:
        return self

    async def to_list(self, count: int | None) -> list[Document]:
        """The next `count`."""
        await self._life.step()
        part, self._found = self._found[:count], [] if count is None else self._found[count:]
        return part


class Collection:
    def __init__(self, name: str, store: Store, life: Life) -> None:
        self._name = name
        self._store = store
        self._documents = store.collections.setdefault(name, {})
        self._life = life

    async def create_index(self, _: Any) -> None:
        """Nothing here needs one."""

    def find(self, query: Document, _: Any = None) -> Cursor:
        return Cursor([copy.deepcopy(item) for item in self._documents.values() if fits(item, query)], self._life)

    async def find_one(self, query: Document) -> Document | None:
        found = await self.find(query).to_list(1)
        return found[0] if found else None

    async def insert_one(self, document: Document) -> None:
        await self._life.step()
        taken = document["_id"] in self._documents
        if not taken:
            self._write(document)
        await self._life.step()
        if taken:
            raise DuplicateKeyError("that id is taken", 11000)

    async def insert_many(self, documents: Sequence[Document], *, ordered: bool) -> None:
        errors = []
        for index, document in enumerate(documents):
            await self._life.step()
            if document["_id"] in self._documents:
                errors.append({"index": index, "code": 11000})
                if ordered:
                    break
            else:
                self._write(document)
        await self._life.step()
        if errors:
            raise BulkWriteError({"writeErrors": errors})

    async def bulk_write(self, operations: Sequence[ReplaceOne[Document]], *, ordered: bool) -> Any:
        matched = 0
        for operation in operations:
            await self._life.step()
            matched += self._replace(cast(Document, operation._filter), cast(Document, operation._doc), upsert=False)
        await self._life.step()
        return SimpleNamespace(matched_count=matched)

    async def replace_one(self, query: Document, document: Document, *, upsert: bool = False) -> Any:
        await self._life.step()
        matched = self._replace(query, document, upsert=upsert)
        await self._life.step()
        return SimpleNamespace(matched_count=matched)

    async def delete_one(self, query: Document) -> None:
        await self._life.step()
        for name in [name for name, item in self._documents.items() if fits(item, query)][:1]:
            del self._documents[name]
        await self._life.step()

    async def delete_many(self, query: Document) -> None:
        await self._life.step()
        for name in [name for name, item in self._documents.items() if fits(item, query)]:
            del self._documents[name]
        await self._life.step()

    def aggregate(self, steps: Sequence[Document]) -> Cursor:
        """How many there are of each, and nothing else."""
        ((group,),) = (step.values() for step in steps)
        counts = Counter(document[group["_id"].removeprefix("$")] for document in self._documents.values())
        return Cursor([{"_id": name, "count": count} for name, count in counts.items()], self._life)

    def _replace(self, query: Document, document: Document, *, upsert: bool) -> int:
        for name in [name for name, item in self._documents.items() if fits(item, query)][:1]:
            self._write({"_id": name, **document})
            return 1
        if upsert:
            self._write({**query, **document})
        return 0

    def _write(self, document: Document) -> None:
        self._documents[document["_id"]] = copy.deepcopy(document)
        self._store.on_written(self._name, copy.deepcopy(document))


def fits(document: Document, query: Document) -> bool:
    for name, wanted in query.items():
        if isinstance(wanted, dict):
            value = document.get(name)
            if value is None or not all(_COMPARE[word](value, bound) for word, bound in wanted.items()):
                return False
        elif document.get(name) != wanted:
            return False
    return True
