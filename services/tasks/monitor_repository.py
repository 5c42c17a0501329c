"""What is read of many tasks at once, to look at them: pages with totals, and counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from services.common.numbered_pages import CountedPage
from services.durable.numbered_pages import PageReader, created_lately
from services.durable.store import Database, Document, equals
from services.tasks.domain import Task
from services.tasks.ports import TaskCounts, TaskMonitorQuery
from services.tasks.repository import BRIEF

_FIELDS = (
    *("tenant", "task_type", "queue", "priority", "created_at", "updated_at", "version", "state", "started_at"),
    *("completed_at", "errors", "origin_instance", "origin_zone", "origin_tenant_id", "provider_type", "workflow_id"),
)
_EQUALITIES = ("task_type", "provider_type", "origin_instance", "origin_zone", "origin_tenant_id")


class MongoTaskMonitor:
    def __init__(self, database: Database) -> None:
        self._reader = PageReader(database["tasks"], _FIELDS)

    async def page(self, wanted: TaskMonitorQuery) -> CountedPage[Task]:
        search = wanted.page.search.lower()
        found = await self._reader.page(_conditions(wanted), wanted.page, lambda row: row["_id"].startswith(search))
        return CountedPage(BRIEF.readable(found.items), found.total, bounded=found.bounded)

    async def counts(self, wanted: TaskMonitorQuery, now: int) -> TaskCounts:
        rows, total, bounded = await self._reader.newest(_conditions(wanted))
        hour, day = created_lately(rows, now)
        return TaskCounts(
            total=total,
            by_status=_counted(rows, "state"),
            by_provider=_counted(rows, "provider_type"),
            by_task_type=_counted(rows, "task_type"),
            last_hour=hour,
            last_day=day,
            bounded=bounded,
        )


def _conditions(wanted: TaskMonitorQuery) -> Document:
    query: Document = {"listing": wanted.page.bounds(wanted.tenant)}
    if wanted.state is not None:
        query["state"] = equals(wanted.state.value)
    query |= {name: equals(value) for name in _EQUALITIES if (value := getattr(wanted, name)) is not None}
    if wanted.without_types:
        query["task_type"] = query.get("task_type", {}) | {"$nin": list(wanted.without_types)}
    if not wanted.include_deleted:
        query["deleted_at"] = {"$exists": False}
    return query


def _counted(rows: Iterable[Document], name: str) -> dict[str, int]:
    """What says nothing there is left out."""
    return Counter(value for row in rows if (value := row.get(name)))
