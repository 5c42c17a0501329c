"""The step cache in MongoDB: a record for each piece of work, a document for each hit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import orjson
from pymongo.errors import DuplicateKeyError

from services.durable.store import Collection, Database, Document, equals, persist, read
from services.workflows.cache_records import CacheEntry, CacheHit, CacheRecord
from services.workflows.ports import StepName

_DROPPED = 1_000


class MongoCacheRepository:
    def __init__(self, database: Database) -> None:
        self._records: Collection = database["step_cache"]

    async def prepare(self) -> None:
        for names in (("tenant", "used"), ("leader",), ("left",), ("to_clean",), ("used",)):
            await persist(partial(self._records.create_index, [(name, 1) for name in names]))

    async def get(self, tenant: str, key: str) -> CacheRecord | None:
        found = await persist(lambda: self._records.find_one({"_id": _id(tenant, key)}))
        return None if found is None else _record(found)

    async def save(self, record: CacheRecord) -> bool:
        """After a lost answer the same again is taken for somebody else's: whoever asks looks once more."""
        document = _document(record)
        if not record.version:
            try:
                await persist(lambda: self._records.insert_one(dict(document)))
            except DuplicateKeyError:
                return False
            return True
        same = {"_id": document["_id"], "version": record.version}
        written = await persist(lambda: self._records.replace_one(same, document))
        return bool(written.matched_count)

    async def led_by(self, names: Sequence[StepName]) -> list[CacheRecord]:
        wanted = [_text(name) for name in names]
        return [_record(document) for document in await read(lambda: self._records.find({"leader": {"$in": wanted}}))]

    async def left(self, tenant: str = "") -> list[CacheRecord]:
        query = {"left": equals(tenant) if tenant else {"$gt": ""}}
        return [_record(document) for document in await read(lambda: self._records.find(query))]

    async def to_clean(self, before: int) -> list[CacheRecord]:
        found = await read(lambda: self._records.find({"to_clean": {"$gt": ""}}))
        return [record for record in map(_record, found) if record.leader is None and record.used < before]

    async def evict(self, *, before: int, most: int) -> int:
        old = await read(lambda: self._records.find({"used": {"$lt": before}}, {"_id": 1}).limit(_DROPPED))
        dropped = await self._drop(old)
        steps = [{"$group": {"_id": "$tenant", "count": {"$sum": 1}}}]
        for found in await persist(lambda: self._records.aggregate(steps).to_list(None)):
            if (over := found["count"] - most) > 0:
                dropped += await self._drop(await self._least_used(found["_id"], min(over, _DROPPED)))
        return dropped

    async def _least_used(self, tenant: str, count: int) -> list[Document]:
        same = {"tenant": equals(tenant)}
        return await read(lambda: self._records.find(same, {"_id": 1}).sort("used", 1).limit(count))

    async def _drop(self, documents: Sequence[Document]) -> int:
        names = [document["_id"] for document in documents]
        if names:
            await persist(lambda: self._records.delete_many({"_id": {"$in": names}}))
        return len(names)


class MongoHitRepository:
    def __init__(self, database: Database) -> None:
        self._hits: Collection = database["step_cache_hits"]

    async def add(self, hits: Mapping[StepName, CacheHit]) -> None:
        for name, hit in hits.items():
            document = {"_id": "/".join(map(str, name)), "hit": _json(hit)}
            await persist(partial(self._insert, document))

    async def _insert(self, document: Document) -> None:
        try:
            await self._hits.insert_one(document)
        except DuplicateKeyError:
            return

    async def get(self, names: Sequence[StepName]) -> dict[StepName, CacheHit]:
        ids = {"/".join(map(str, name)): name for name in names}
        found = await read(lambda: self._hits.find({"_id": {"$in": list(ids)}}))
        return {ids[document["_id"]]: _hit(orjson.loads(document["hit"])) for document in found}


def _id(tenant: str, key: str) -> str:
    return f"{tenant}/{key}"


def _document(record: CacheRecord) -> Document:
    return {
        "_id": _id(record.tenant, record.key),
        "tenant": record.tenant,
        "version": record.version + 1,
        "used": record.used,
        "since": record.since,
        "leader": _text(record.leader),
        "waiters": _json(record.waiters),
        "left": record.tenant if record.left else "",
        "to_clean": _text(record.to_clean),
        "entry": "" if record.entry is None else _json(record.entry),
    }


def _record(document: Document) -> CacheRecord:
    tenant, _, key = document["_id"].rpartition("/")
    plain: dict[str, Any] = {name: document[name] for name in ("version", "used", "since")}
    return CacheRecord(
        tenant,
        key,
        leader=_name(document["leader"]),
        waiters=tuple(StepName(*name) for name in orjson.loads(document["waiters"])),
        left=bool(document["left"]),
        to_clean=_name(document["to_clean"]),
        entry=_entry(orjson.loads(document["entry"])) if document["entry"] else None,
        **plain,
    )


def _entry(values: list[Any]) -> CacheEntry:
    made_by, *rest = values
    return CacheEntry(StepName(*made_by), *rest)


def _hit(values: list[Any]) -> CacheHit:
    result, made_by, *rest = values
    return CacheHit(result, StepName(*made_by), *rest)


def _text(name: StepName | None) -> str:
    return "" if name is None else _json(name)


def _name(text: str) -> StepName | None:
    return StepName(*orjson.loads(text)) if text else None


def _json(values: Sequence[Any]) -> str:
    return orjson.dumps(_plain(values)).decode()


def _plain(value: Any) -> Any:
    """Named tuples as lists."""
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
