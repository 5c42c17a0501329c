"""What is read of many workflows at once, to look at them: pages with totals, and counts."""

from __future__ import annotations

from collections import Counter

from services.common.numbered_pages import CountedPage
from services.durable.numbered_pages import PageReader, created_lately
from services.durable.store import Database, Document, equals, read
from services.workflows.domain import Workflow
from services.workflows.ports import WorkflowCounts, WorkflowMonitorQuery
from services.workflows.repository import CODEC, HEADS

# Without their steps, which may take 44 kB each.
_FIELDS = ("state", "name", "created_at", "updated_at", "started_at", "completed_at", "step_count")


class MongoWorkflowMonitor:
    def __init__(self, database: Database) -> None:
        self._heads = database[HEADS]
        self._reader = PageReader(self._heads, _FIELDS)

    async def page(self, wanted: WorkflowMonitorQuery) -> CountedPage[Workflow]:
        search = wanted.page.search.lower()
        found = await self._reader.page(
            _conditions(wanted),
            wanted.page,
            lambda row: row["_id"].startswith(search) or search in row["name"].lower(),
        )
        ids = [row["_id"] for row in found.items]
        documents = await read(lambda: self._heads.find({"_id": {"$in": ids}})) if ids else []
        heads = {head.id: head for head in CODEC.readable(documents)}
        return CountedPage([heads[name] for name in ids if name in heads], found.total, bounded=found.bounded)

    async def counts(self, wanted: WorkflowMonitorQuery, now: int) -> WorkflowCounts:
        rows, total, bounded = await self._reader.newest(_conditions(wanted))
        hour, day = created_lately(rows, now)
        return WorkflowCounts(
            total=total,
            by_status=Counter(row["state"] for row in rows),
            last_hour=hour,
            last_day=day,
            average_steps=sum(row.get("step_count", 0) for row in rows) / total if rows else 0.0,
            bounded=bounded,
        )


def _conditions(wanted: WorkflowMonitorQuery) -> Document:
    query: Document = {"listing": wanted.page.bounds(wanted.tenant)}
    names = ("state", "origin_instance", "origin_zone", "origin_tenant_id")
    query |= {name: equals(str(value)) for name in names if (value := getattr(wanted, name)) is not None}
    if not wanted.include_deleted:
        query["deleted_at"] = {"$exists": False}
    return query
