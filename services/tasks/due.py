"""What is to be done for tasks, in MongoDB: one document for each, looked at when it is due."""

from __future__ import annotations

from dataclasses import asdict

import orjson

from services.durable.due_list import DueList
from services.durable.store import Database, Document
from services.tasks.ports import OrphanedCalls, Removal
from services.tasks.provider_calls import ProviderCallRecord


def removals(database: Database) -> DueList[Removal]:
    return DueList(database["removals"], _from_removal, _to_removal)


def orphaned_calls_list(database: Database) -> DueList[OrphanedCalls]:
    return DueList(database["orphaned_calls"], _from_orphaned, _to_orphaned)


def _from_removal(removal: Removal) -> Document:
    fields = asdict(removal)
    return {"_id": fields.pop("id"), **fields, "folders": list(removal.folders)}


def _to_removal(document: Document) -> Removal:
    fields = {**document, "folders": tuple(document["folders"])}
    return Removal(id=fields.pop("_id"), **fields)


def _from_orphaned(orphaned: OrphanedCalls) -> Document:
    """Calls as one JSON string, as a task keeps them."""
    fields = asdict(orphaned)
    calls = orjson.dumps(fields.pop("calls")).decode()
    return {"_id": fields.pop("id"), **fields, "calls": calls, "configs": list(orphaned.configs)}


def _to_orphaned(document: Document) -> OrphanedCalls:
    fields = {**document, "configs": tuple(document["configs"])}
    fields["calls"] = tuple(ProviderCallRecord(**call) for call in orjson.loads(document["calls"]))
    return OrphanedCalls(id=fields.pop("_id"), **fields)
