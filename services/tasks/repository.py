"""Tasks in MongoDB: whole documents under compare-and-set on `version`, written in groups."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import MISSING, asdict, fields
from functools import partial
from typing import Any, NamedTuple

import orjson
import structlog
from pymongo import ReplaceOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from services.common.errors import Internal, NotFound, Unavailable
from services.common.paging import Found, Window
from services.durable.batch_writer import BatchWriter
from services.durable.store import Collection, Database, Document, list_page, persist, read, read_in_parts
from services.tasks.calls import ServiceCall
from services.tasks.domain import Occurrence, Task, TaskState, Verb
from services.tasks.outbox import Outbox, token
from services.tasks.ports import Added, Filter

log = structlog.get_logger()
_DUPLICATE = 11000
_CACHE = 8_192
# About 5 ms of reading.
_PART = 200
# About a second of what the store takes. Steps of tasks that were accepted are bounded by the workers' room instead.
_WAITING_CREATES = 2_048
_PLAIN = tuple(
    name for name in Task.__dataclass_fields__ if name not in ("id", "state", "errors", "service_calls", "outbox")
)
_DEFAULTS = tuple(
    (field.name, None if field.default is MISSING else field.default) for field in fields(Task) if field.name in _PLAIN
)
_FILTERS = tuple(field.name for field in fields(Filter) if field.name not in ("tenant", "without_types"))
_UNTOLD = {field.name: field.default for field in fields(ServiceCall)}


class Write(NamedTuple):
    """One task on its way into the store under a number of the outbox."""

    number: int
    task: Task
    document: Document


class MongoTaskRepository:
    """Creates and transitions go in groups, one of each on its way. Answers only after the group that covers.

    `on_written` hears of every durable write, also of one whose caller has left.
    """

    def __init__(self, database: Database, outbox: Outbox, on_written: Callable[[Task], None]) -> None:
        self._tasks: Collection = database["tasks"]
        self._outbox = outbox
        self._on_written = on_written
        self._creates: BatchWriter[Task, Added] = BatchWriter(self._insert, capacity=_WAITING_CREATES)
        self._transitions: BatchWriter[Task, bool] = BatchWriter(self._replace)
        self._recent: OrderedDict[str, Task] = OrderedDict()
        self._settling: set[asyncio.Task[None]] = set()

    async def prepare(self) -> None:
        """Makes the indexes; few, for each costs every write.

        The embedded store uses an index for ranges and their order, never for an equality (which might match inside an
        array): hence `listing`, and equalities written as ranges. MongoDB serves both as well.
        """
        for name in ("listing", "state", "relay"):
            await persist(partial(self._tasks.create_index, [(name, 1)]))

    async def drain(self) -> None:
        await self._creates.drain()
        await self._transitions.drain()

    async def settled(self) -> None:
        """Waits until it is known what became of writes that the store failed in the middle of."""
        while self._settling:
            await asyncio.wait(set(self._settling))

    def add(self, task: Task) -> asyncio.Future[Added]:
        return self._creates.put(task)

    def save(self, task: Task) -> asyncio.Future[bool]:
        return self._transitions.put(task)

    def known(self, task_id: str) -> Task | None:
        return self._recent.get(task_id)

    async def get(self, task_id: str) -> Task:
        return self._recent.get(task_id) or await self.get_fresh(task_id)

    async def get_fresh(self, task_id: str) -> Task:
        found = await self._read([task_id])
        if task_id not in found:
            raise NotFound(f"task {task_id} does not exist", reason="TASK_NOT_FOUND")
        return found[task_id]

    async def get_many(self, task_ids: Sequence[str]) -> dict[str, Task]:
        found = {task_id: task for task_id in task_ids if (task := self._recent.get(task_id)) is not None}
        missing = [task_id for task_id in task_ids if task_id not in found]
        return found | await self._read(missing) if missing else found

    async def find(self, wanted: Filter, window: Window) -> Found[Task]:
        query: Document = {"listing": window.bounds(f"{wanted.tenant}/")}
        query |= {name: _is(value) for name in _FILTERS if (value := getattr(wanted, name)) is not None}
        if wanted.without_types:
            query["task_type"] = query.get("task_type", {}) | {"$nin": list(wanted.without_types)}
        found = await list_page(self._tasks, query, window)
        return Found(readable(found.items), found.behind)

    async def in_state(self, state: TaskState, *, limit: int) -> AsyncIterator[list[Task]]:
        """Oldest first, of every tenant. They may be many: between two parts others have their turn."""
        query = {"state": _is(state.value)}
        parts = read_in_parts(lambda: self._tasks.find(query).sort("created_at", 1).limit(limit), _PART)
        async for documents in parts:
            yield readable(documents)

    async def relayed_after(self, owner: str, number: int, *, limit: int) -> list[tuple[int, Task]]:
        """What `owner` wrote beyond `number`, in its order."""
        query = {"relay": {"$gt": token(owner, number), "$lt": f"{owner}:~"}}
        documents = await read(lambda: self._tasks.find(query).sort("relay", 1).limit(limit))
        numbers = {document["_id"]: int(document["relay"].rpartition(":")[2]) for document in documents}
        return [(numbers[task.id], task) for task in readable(documents)]

    def forget(self, task_id: str, version: int) -> bool:
        """The store holds `version`: what is older is of no use. False when a later one was written here since."""
        known = self._recent.get(task_id)
        if known is not None and known.version < version:
            del self._recent[task_id]
        return known is None or known.version <= version

    async def _read(self, task_ids: Sequence[str]) -> dict[str, Task]:
        query: Document = {"_id": task_ids[0]} if len(task_ids) == 1 else {"_id": {"$in": list(task_ids)}}
        documents = await read(lambda: self._tasks.find(query))
        tasks = readable(documents) if len(task_ids) > 1 else [to_task(document) for document in documents]
        found = {task.id: task for task in tasks}
        for task in found.values():
            self.forget(task.id, task.version)
        return found

    async def _insert(self, tasks: Sequence[Task]) -> list[Added | Exception]:
        writes = [self._begin(task) for task in tasks]
        try:
            errors = await persist(lambda: self._insert_errors([write.document for write in writes]))
            refusals = {item["index"]: await self._refusal(writes[item["index"]], item["code"]) for item in errors}
        except BaseException:
            self._settle_later(writes)
            raise
        return [refusals.get(index) or self._added(write) for index, write in enumerate(writes)]

    async def _refusal(self, write: Write, code: int) -> Added | Exception | None:
        """What stands in the way of a write; None when it was our own."""
        if code == _DUPLICATE:
            return await self._collision(write)
        self._outbox.dropped(write.number)
        return Unavailable("the store refused the task", reason="STORE_REFUSED", retry_after=5.0)

    async def _insert_errors(self, documents: list[Document]) -> list[dict[str, Any]]:
        """The driver takes half as long again for a group of one."""
        try:
            if len(documents) == 1:
                await self._tasks.insert_one(documents[0])
            else:
                await self._tasks.insert_many(documents, ordered=False)
        except DuplicateKeyError:
            return [{"index": 0, "code": _DUPLICATE}]
        except BulkWriteError as error:
            return list(error.details["writeErrors"])
        return []

    async def _collision(self, write: Write) -> Added | None:
        """None when the document is our own: an earlier flush was applied and only its answer was lost."""
        stored = await persist(lambda: self._tasks.find_one({"_id": write.task.id}))
        if stored is None or stored.get("relay") == write.document["relay"]:
            return None
        self._outbox.dropped(write.number)
        return Added(to_task(stored), existing=True)

    def _added(self, write: Write) -> Added:
        self._done(write)
        return Added(write.task, existing=False)

    async def _replace(self, tasks: Sequence[Task]) -> list[bool | Exception]:
        """True for each that found the version it was made from."""
        writes = [self._begin(self._outbox.pruned(task)) for task in tasks]
        try:
            matched = await persist(lambda: self._matched(writes))
            won = [True] * len(writes) if matched == len(writes) else await self._won(writes)
        except BaseException:
            self._settle_later(writes)
            raise
        for write, stands in zip(writes, won, strict=True):
            if stands:
                self._done(write)
            else:
                self._outbox.dropped(write.number)
                self._recent.pop(write.task.id, None)
        return list(won)

    async def _matched(self, writes: Sequence[Write]) -> int:
        """How many found the version they were made from."""
        found = [{"_id": write.task.id, "version": write.task.version - 1} for write in writes]
        if len(writes) == 1:
            return int((await self._tasks.replace_one(found[0], writes[0].document)).matched_count)
        operations = [ReplaceOne(query, write.document) for query, write in zip(found, writes, strict=True)]
        return (await self._tasks.bulk_write(operations, ordered=False)).matched_count

    async def _won(self, writes: Sequence[Write]) -> list[bool]:
        """Somebody lost, or an answer of ours did: the token stored says whose write stands."""
        ids = [write.task.id for write in writes]
        rows = await read(lambda: self._tasks.find({"_id": {"$in": ids}}, {"relay": 1}))
        stored = {row["_id"]: row.get("relay") for row in rows}
        return [stored.get(write.task.id) == write.document["relay"] for write in writes]

    def _settle_later(self, writes: Sequence[Write]) -> None:
        """The store failed in the middle: what became of the writes is read once it answers again."""
        settling = asyncio.create_task(self._settle(writes), name="settle")
        self._settling.add(settling)
        settling.add_done_callback(self._settling.discard)

    async def _settle(self, writes: Sequence[Write]) -> None:
        while True:
            try:
                won = await self._won(writes)
                break
            except Unavailable:
                await asyncio.sleep(1.0)
        for write, stands in zip(writes, won, strict=True):
            self._recent.pop(write.task.id, None)
            if stands:
                self._done(write)
            else:
                self._outbox.dropped(write.number)

    def _begin(self, task: Task) -> Write:
        number = self._outbox.begin()
        return Write(number, task, to_document(task) | {"relay": token(self._outbox.owner, number)})

    def _done(self, write: Write) -> None:
        self._remember(write.task)
        self._outbox.written(write.number, write.task)
        self._on_written(write.task)

    def _remember(self, task: Task) -> None:
        self._recent[task.id] = task
        self._recent.move_to_end(task.id)
        if len(self._recent) > _CACHE:
            self._recent.popitem(last=False)


def _is(value: Any) -> Any:
    """Equality as a range, see `prepare`; a truth value has no range."""
    return value if isinstance(value, bool) else {"$gte": value, "$lte": value}


def to_document(task: Task) -> Document:
    """Histories as one JSON string each: cheaper in both stores than sub-documents, and replaced whole anyway.

    What is not there is left out: every byte costs again in each index of the embedded store.
    """
    fields = task.__dict__
    document: Document = {name: value for name in _PLAIN if (value := fields[name]) is not None}
    document["_id"] = task.id
    if not task.erased:
        document["listing"] = task.listing
    document["state"] = task.state.value
    if task.errors:
        document["errors"] = list(task.errors)
    if task.service_calls:
        document["service_calls"] = orjson.dumps([_told(call) for call in task.service_calls]).decode()
    document["outbox"] = orjson.dumps(list(map(list, task.outbox))).decode()
    return document


def readable(documents: Sequence[Document]) -> list[Task]:
    """Those this version understands: one that a later version wrote must not hide its neighbours."""
    found = []
    for document in documents:
        try:
            found.append(to_task(document))
        except Internal:
            log.error("task not understood", task_id=document["_id"])
    return found


def to_task(document: Document) -> Task:
    """Raises Internal: TASK_UNREADABLE for what a later version may have written."""
    try:
        return _task_of(document)
    except (KeyError, TypeError, ValueError) as error:
        raise Internal(f"task {document['_id']} cannot be read", reason="TASK_UNREADABLE") from error


def _task_of(document: Document) -> Task:
    # The bare id that stays of a deleted task has none of the rest.
    plain: dict[str, Any] = {name: document.get(name, default) for name, default in _DEFAULTS}
    calls = orjson.loads(document.get("service_calls") or "[]")
    return Task(
        id=document["_id"],
        state=TaskState(document["state"]),
        errors=tuple(document.get("errors", ())),
        service_calls=tuple(ServiceCall(**call) for call in calls),
        outbox=tuple(_unpack(item) for item in orjson.loads(document["outbox"])),
        **plain,
    )


def _told(call: ServiceCall) -> dict[str, Any]:
    """Without what is as it is by default."""
    return {name: value for name, value in asdict(call).items() if value != _UNTOLD[name]}


def _unpack(row: list[Any]) -> Occurrence:
    version, verb, status, attempt, at, *said = row
    return Occurrence(version, Verb(verb), TaskState(status), attempt, at, *said)
