"""Tasks in MongoDB, and what is to be done for them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import MISSING, asdict, fields
from functools import partial
from typing import Any

import orjson

from services.common.paging import ListPage, ListWindow
from services.common.parents import TaskParent
from services.durable.codec import Codec
from services.durable.repository import GroupRepository
from services.durable.store import Database, Document, equals
from services.durable.write_log import WriteLog
from services.tasks.domain import Occurrence, Task, TaskState, Verb
from services.tasks.ports import TaskQuery
from services.tasks.provider_calls import ProviderCallRecord

_CACHE, _CACHE_BYTES = 8_192, 64 * 1024 * 1024
# About a second of what the store takes. Steps of tasks that were accepted are bounded by the workers' room instead.
_WAITING_CREATES = 2_048
_OTHERWISE = ("id", "state", "errors", "service_calls", "outbox", "parent")
_PLAIN = tuple(name for name in Task.__dataclass_fields__ if name not in _OTHERWISE)
_DEFAULTS = tuple(
    (field.name, None if field.default is MISSING else field.default) for field in fields(Task) if field.name in _PLAIN
)
_FILTERS = tuple(
    field.name for field in fields(TaskQuery) if field.name not in ("tenant", "without_types", "include_deleted")
)
_SCHEDULING = (
    *("tenant", "task_type", "queue", "priority", "created_at", "updated_at", "version"),
    *("state", "attempt", "not_before", "worker"),
)
_UNTOLD = {field.name: field.default for field in fields(ProviderCallRecord)}


class MongoTaskRepository(GroupRepository[Task]):
    def __init__(self, database: Database, writes: WriteLog[Task], on_written: Callable[[Task], None]) -> None:
        self._tasks = database["tasks"]
        super().__init__(
            self._tasks,
            CODEC,
            writes,
            on_written,
            remembered=_CACHE,
            remembered_bytes=_CACHE_BYTES,
            waiting_creates=_WAITING_CREATES,
        )

    async def prepare(self) -> None:
        await self.index("listing", "state", "relay")

    async def find(self, wanted: TaskQuery, window: ListWindow) -> ListPage[Task]:
        query: Document = {"listing": window.bounds(f"{wanted.tenant}/")}
        query |= {name: equals(value) for name in _FILTERS if (value := getattr(wanted, name)) is not None}
        if wanted.without_types:
            query["task_type"] = query.get("task_type", {}) | {"$nin": list(wanted.without_types)}
        if not wanted.include_deleted:
            query["deleted_at"] = {"$exists": False}
        return await self.page(query, window)

    async def in_state(self, state: TaskState, *, limit: int) -> AsyncIterator[list[Task]]:
        """Oldest first, of every tenant, without what only their run needs. They may be many."""
        query = {"state": equals(state.value)}
        found = partial(self._tasks.find, query, dict.fromkeys(_SCHEDULING, 1))
        async for tasks in self.read_in_parts(lambda: found().sort("created_at", 1).limit(limit), BRIEF):
            yield tasks


def to_document(task: Task) -> Document:
    """Histories as one JSON string each: cheaper in both stores than sub-documents, and replaced whole anyway.

    What is not there is left out: every byte costs again in each index of the embedded store.
    """
    fields = task.__dict__
    document: Document = {name: value for name in _PLAIN if (value := fields[name]) is not None}
    document["_id"] = task.id
    if not task.erased and not task.placeholder:
        document["listing"] = task.listing
    document["state"] = task.state.value
    if task.errors:
        document["errors"] = list(task.errors)
    if task.service_calls:
        document["service_calls"] = orjson.dumps([_told(call) for call in task.service_calls]).decode()
    if task.parent is not None:
        document["parent"] = orjson.dumps(list(task.parent)).decode()
    document["outbox"] = orjson.dumps(list(map(list, task.outbox))).decode()
    return document


def remains_of(task: Task) -> Document | None:
    """What stays of a deleted one's document.

    Of a task whose id follows from an Idempotency-Key or from its parent the bare id: the same id must never name
    another task, or a late worker could finish that one, and its events would be taken for repetitions.
    """
    if task.fingerprint is None and task.parent is None:
        return None
    return {"state": task.state.value, "erased": True, "tenant": "", "outbox": "[]"}


def _task_of(document: Document) -> Task:
    # The bare id that stays of a deleted task has none of the rest.
    plain: dict[str, Any] = {name: document.get(name, default) for name, default in _DEFAULTS}
    calls = orjson.loads(document.get("service_calls") or "[]")
    parent = document.get("parent")
    return Task(
        id=document["_id"],
        state=TaskState(document["state"]),
        errors=tuple(document.get("errors", ())),
        service_calls=tuple(ProviderCallRecord(**call) for call in calls),
        parent=TaskParent(*orjson.loads(parent)) if parent else None,
        outbox=tuple(_unpack(item) for item in orjson.loads(document["outbox"])),
        **plain,
    )


def _told(call: ProviderCallRecord) -> dict[str, Any]:
    """Without what is as it is by default."""
    return {name: value for name, value in asdict(call).items() if value != _UNTOLD[name]}


def _unpack(row: list[Any]) -> Occurrence:
    version, verb, status, attempt, at, *said = row
    return Occurrence(version, Verb(verb), TaskState(status), attempt, at, *said)


def _brief_of(document: Document) -> Task:
    return _task_of(document | {"spec": "", "outbox": "[]"})


CODEC: Codec[Task] = Codec("task", to_document, _task_of, "TASK_NOT_FOUND", "TASK_UNREADABLE")
BRIEF: Codec[Task] = Codec("task", to_document, _brief_of, "TASK_NOT_FOUND", "TASK_UNREADABLE")
