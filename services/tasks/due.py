"""What is to be done for tasks, in MongoDB: one document for each, looked at when it is due."""

from __future__ import annotations

from dataclasses import asdict

import orjson

from services.durable.due_list import DueList
from services.durable.store import Database, Document
from services.tasks.calls import ServiceCall
from services.tasks.ports import LooseEnd, Removal


def removals(database: Database) -> DueList[Removal]:
    return DueList(database["removals"], _from_removal, _to_removal)


def loose_ends(database: Database) -> DueList[LooseEnd]:
    return DueList(database["loose_calls"], _from_loose, _to_loose)


def _from_removal(removal: Removal) -> Document:
    fields = asdict(removal)
    return {"_id": fields.pop("id"), **fields, "folders": list(removal.folders)}


def _to_removal(document: Document) -> Removal:
    fields = {**document, "folders": tuple(document["folders"])}
    return Removal(id=fields.pop("_id"), **fields)


def _from_loose(loose: LooseEnd) -> Document:
    """Calls as one JSON string, as a task keeps them."""
    fields = asdict(loose)
    calls = orjson.dumps(fields.pop("calls")).decode()
    return {"_id": fields.pop("id"), **fields, "calls": calls, "configs": list(loose.configs)}


def _to_loose(document: Document) -> LooseEnd:
    fields = {**document, "configs": tuple(document["configs"])}
    fields["calls"] = tuple(ServiceCall(**call) for call in orjson.loads(document["calls"]))
    return LooseEnd(id=fields.pop("_id"), **fields)
