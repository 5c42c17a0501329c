"""Workflows in MongoDB: heads under compare-and-set, definitions and results in documents written once."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import orjson
from compute.workflows.v1 import workflows_pb2 as pb
from pymongo.errors import BulkWriteError, DuplicateKeyError

from services.catalog.enums import StepStatus, WorkflowStatus
from services.common.bounded_cache import BoundedCache
from services.common.errors import IdempotencyConflict, NotFound
from services.common.paging import ListPage, ListWindow
from services.common.parents import SHORT_RESULT_BYTES
from services.durable.batch_writer import BatchWriter
from services.durable.codec import Codec
from services.durable.repository import GroupRepository
from services.durable.store import Collection, Database, Document, equals, persist, read
from services.durable.write_log import WriteLog
from services.workflows.domain import ENDED, Decision, Entry, Happening, Row, Unit, Workflow, WorkflowVerb
from services.workflows.files import WorkflowFileStore, path_of_result
from services.workflows.messages import read_definition, write_definition
from services.workflows.ports import StepName, StoredDefinition, StoredResult, WorkflowQuery

HEADS, DEFINITIONS, RESULTS = "workflows", "workflow_definitions", "workflow_results"
_CACHE, _CACHE_BYTES = 4_096, 64 << 20
_DEFINITIONS, _DEFINITIONS_BYTES = 1_024, 64 << 20
_OWN = ("id", "state", "rows", "to_cancel", "outbox")
_PLAIN = tuple(name for name in Workflow.__dataclass_fields__ if name not in _OWN)
_DUPLICATE = 11000
_ENTRY_TEXTS: BoundedCache[Entry, str] = BoundedCache(entries=4_096, size=16 << 20)
_RESULTS_TOGETHER = 256
_FILES_AT_ONCE = 16
# Tasks tell of their results in messages of 16 MiB.
_LONGEST_RESULT = 32 << 20


class MongoWorkflowRepository(GroupRepository[Workflow]):
    def __init__(
        self, database: Database, writes: WriteLog[Workflow], on_written: Callable[[Workflow], None] = lambda _: None
    ) -> None:
        self._heads = database[HEADS]
        super().__init__(self._heads, CODEC, writes, on_written, remembered=_CACHE, remembered_bytes=_CACHE_BYTES)

    async def prepare(self) -> None:
        await self.index("listing", "due", "relay")

    async def find(self, wanted: WorkflowQuery, window: ListWindow) -> ListPage[Workflow]:
        return await self.page({**_conditions(wanted), "listing": window.bounds(f"{wanted.tenant}/")}, window)

    async def count(self, wanted: WorkflowQuery) -> int:
        begin = f"{wanted.tenant}/"
        query = {**_conditions(wanted), "listing": {"$gte": begin, "$lt": f"{begin}~"}}
        steps = [{"$match": query}, {"$group": {"_id": None, "count": {"$sum": 1}}}]
        found = await persist(lambda: self._heads.aggregate(steps).to_list(None))
        return int(found[0]["count"]) if found else 0

    async def due(self, now: int, *, limit: int) -> list[str]:
        query = {"due": {"$gte": 1, "$lte": now}}
        found = await read(lambda: self._heads.find(query, {"due": 1}).sort("due", 1).limit(limit))
        return [document["_id"] for document in found]

    async def ended(self, workflow_ids: Iterable[str]) -> set[str]:
        """Which of these have; as they are stored, whoever wrote that."""
        names = list(workflow_ids)
        found = await read(lambda: self._heads.find({"_id": {"$in": names}}, {"state": 1})) if names else []
        return {document["_id"] for document in found if document["state"] in ENDED}


def _conditions(wanted: WorkflowQuery) -> Document:
    query: Document = {}
    names = ("state", "origin_instance", "origin_tenant_id")
    query |= {name: equals(str(value)) for name in names if (value := getattr(wanted, name)) is not None}
    if not wanted.include_deleted:
        query["deleted_at"] = {"$exists": False}
    if wanted.not_of_group is not None:
        query["fork_group"] = {"$nin": [wanted.not_of_group]}
    return query


class MongoDefinitionRepository:
    """Definitions as their messages; the latest are remembered."""

    def __init__(self, database: Database) -> None:
        self._definitions: Collection = database[DEFINITIONS]
        self._known: BoundedCache[str, StoredDefinition] = BoundedCache(entries=_DEFINITIONS, size=_DEFINITIONS_BYTES)

    async def add(self, workflow_id: str, stored: StoredDefinition, fingerprint: str = "") -> None:
        content = write_definition(stored).SerializeToString()
        document = {"_id": workflow_id, "definition": base64.b64encode(content).decode()}
        if fingerprint:
            document["fingerprint"] = fingerprint
        try:
            await persist(lambda: self._definitions.insert_one(dict(document)))
        except DuplicateKeyError:
            await self.check(workflow_id, fingerprint)  # else an earlier try, whose answer was lost
        else:
            self._known.put(workflow_id, stored, 4 * len(content))

    async def check(self, workflow_id: str, fingerprint: str) -> None:
        if not fingerprint:
            return
        query, shown = {"_id": workflow_id}, {"fingerprint": 1}
        for document in await read(lambda: self._definitions.find(query, shown)):
            if document.get("fingerprint", fingerprint) != fingerprint:
                raise IdempotencyConflict("this Idempotency-Key was used before with another body")

    async def get(self, workflow_id: str) -> StoredDefinition:
        known = self._known.get(workflow_id)
        if known is not None:
            return known
        found = (await self.get_many([workflow_id])).get(workflow_id)
        if found is None:
            raise NotFound(f"workflow {workflow_id} does not exist", reason="WORKFLOW_NOT_FOUND")
        return found

    async def get_many(self, workflow_ids: Sequence[str]) -> dict[str, StoredDefinition]:
        found = {name: known for name in workflow_ids if (known := self._known.get(name)) is not None}
        missing = [name for name in workflow_ids if name not in found]
        if missing:
            for document in await read(lambda: self._definitions.find({"_id": {"$in": missing}})):
                content = base64.b64decode(document["definition"])
                stored = read_definition(pb.WorkflowDefinition.FromString(content))
                self._known.put(document["_id"], stored, 4 * len(content))
                found[document["_id"]] = stored
        return found


class MongoResultRepository:
    """One document for each result, as JSON; a long one lies in storage, and its document says where."""

    def __init__(self, database: Database, files: WorkflowFileStore) -> None:
        self._results: Collection = database[RESULTS]
        self._files = files
        self._room = asyncio.Semaphore(_FILES_AT_ONCE)
        self._adding: BatchWriter[list[Document], None] = BatchWriter(
            self._add, weigh=len, group_weight=_RESULTS_TOGETHER, busy="STORE_BUSY"
        )

    async def add(self, tenant: str, results: Mapping[StepName, Mapping[str, Any]]) -> None:
        """One that is there already is the same: nothing but a step's own task makes it."""
        texts = {name: orjson.dumps(result) for name, result in results.items()}
        long = {name: text for name, text in texts.items() if len(text) > SHORT_RESULT_BYTES}
        if long:
            await asyncio.gather(*(self._upload(tenant, name, text) for name, text in long.items()))
        await self._adding.put([_result_document(tenant, name, text) for name, text in texts.items()])

    async def _upload(self, tenant: str, name: StepName, text: bytes) -> None:
        """Before the document that says so. The same again is the same content."""
        async with self._room:
            await self._files.upload(path_of_result(*name), text, tenant=tenant, result=True)

    async def _add(self, groups: Sequence[list[Document]]) -> list[None]:
        """What several workflows made goes together."""
        await persist(partial(self._insert, [document for group in groups for document in group]))
        return [None] * len(groups)

    async def _insert(self, documents: list[Document]) -> None:
        try:
            if len(documents) == 1:
                await self._results.insert_one(documents[0])
            else:
                await self._results.insert_many(documents, ordered=False)
        except DuplicateKeyError:
            return
        except BulkWriteError as error:
            if any(item["code"] != _DUPLICATE for item in error.details["writeErrors"]):
                raise

    async def get(self, names: Sequence[StepName]) -> dict[StepName, Mapping[str, Any]]:
        return await self.read(await self.find(names))

    async def find(self, names: Sequence[StepName]) -> dict[StepName, StoredResult]:
        ids = {_result_id(name): name for name in names}
        found = await read(lambda: self._results.find({"_id": {"$in": list(ids)}}))
        return {ids[document["_id"]]: _stored_result(document) for document in found}

    async def read(self, found: Mapping[StepName, StoredResult]) -> dict[StepName, Mapping[str, Any]]:
        texts = await asyncio.gather(*(self._text(result) for result in found.values()))
        return {name: orjson.loads(text) for name, text in zip(found, texts, strict=True) if text}

    async def _text(self, result: StoredResult) -> str | bytes:
        """Empty for one whose file went with a clean-up."""
        if result.path is None:
            return result.text
        async with self._room:
            try:
                return await self._files.read(result.path, tenant=result.tenant, limit=_LONGEST_RESULT)
            except NotFound:
                return b""


def _result_id(name: StepName) -> str:
    return f"{name.workflow_id}/{name.step_id}/{name.attempt}"


def _result_document(tenant: str, name: StepName, text: bytes) -> Document:
    document: Document = {"_id": _result_id(name), "workflow": name.workflow_id}
    if len(text) <= SHORT_RESULT_BYTES:
        return document | {"result": text.decode()}
    return document | {"path": path_of_result(*name), "size": len(text), "tenant": tenant}


def _stored_result(document: Document) -> StoredResult:
    if "path" in document:
        return StoredResult(document["size"], "", document["path"], document["tenant"])
    return StoredResult(len(document["result"]), document["result"])


def to_document(workflow: Workflow) -> Document:
    """Rows and outbox as one JSON string each, without what is not there: a thousand steps take 44 kB."""
    document: Document = {name: value for name in _PLAIN if (value := getattr(workflow, name)) is not None}
    document["_id"] = workflow.id
    document["listing"] = workflow.listing
    document["state"] = workflow.state.value
    document["step_count"] = len(workflow.rows)
    document["rows"] = f"[{','.join(map(_row_text, workflow.rows))}]"
    if workflow.to_cancel:
        document["to_cancel"] = orjson.dumps([[*unit, attempt] for unit, attempt in workflow.to_cancel]).decode()
    document["outbox"] = f"[{','.join(map(_entry_text, workflow.outbox))}]"
    return document


def _row_text(row: Row) -> str:
    """Of two thousand slots one write changes a few: each is remembered by itself."""
    if not row.slots:
        return _text_of(row)
    begin = orjson.dumps(_values(row)).decode().removesuffix("]")
    return f"{begin},[{','.join(map(_text_of, row.slots))}]]"


@lru_cache(maxsize=65_536)
def _text_of(row: Row) -> str:
    """Of one without slots, without the nulls at its end; a step that has not begun is nothing. Remembered: of a
    thousand rows one write changes a few.
    """
    values = _values(row)
    while values and values[-1] in (None, 0, StepStatus.PENDING):
        values.pop()
    return orjson.dumps(values).decode()


def _values(row: Row) -> list[Any]:
    return [*row[:-2], None if row.decision is None else list(row.decision)]


def _row(values: list[Any]) -> Row:
    if not values:
        return Row()
    state, *plain = values
    row = Row(StepStatus(state), *plain)
    decision = None if row.decision is None else Decision(*row.decision)
    return row._replace(decision=decision, slots=tuple(_row(list(slot)) for slot in row.slots))


def _entry_text(entry: Entry) -> str:
    """Remembered: it is written again until its events are surely published."""
    if (known := _ENTRY_TEXTS.get(entry)) is not None:
        return known
    said = [list(happening) for happening in entry.happenings]
    text = orjson.dumps([*entry._replace(happenings=said)]).decode()  # type: ignore[arg-type]  # as JSON has it
    _ENTRY_TEXTS.put(entry, text, 8 * len(text))  # with the entry itself
    return text


def _entry(values: list[Any]) -> Entry:
    version, at, state, completed, happenings, *progress = values
    said = tuple(Happening(WorkflowVerb(verb), *rest) for verb, *rest in happenings)
    return Entry(version, at, WorkflowStatus(state), completed, said, *progress)


def _workflow_of(document: Document) -> Workflow:
    plain: dict[str, Any] = {name: document[name] for name in _PLAIN if name in document}
    return Workflow(
        id=document["_id"],
        state=WorkflowStatus(document["state"]),
        rows=tuple(_row(values) for values in orjson.loads(document["rows"])),
        to_cancel=tuple((Unit(*unit), attempt) for *unit, attempt in orjson.loads(document.get("to_cancel", "[]"))),
        outbox=tuple(_entry(values) for values in orjson.loads(document["outbox"])),
        **plain,
    )


CODEC: Codec[Workflow] = Codec("workflow", to_document, _workflow_of, "WORKFLOW_NOT_FOUND", "WORKFLOW_UNREADABLE")
