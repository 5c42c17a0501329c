"""The embedded store's faster way for what the services write: plain documents, inserted, or replaced by version."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import orjson

Message: TypeAlias = dict[str, Any]
Row: TypeAlias = tuple[str | int, ...]
_KNOWN = frozenset({"insert", "update", "ordered", "lsid", "$db"})
_REPLACE = frozenset({"q", "u", "multi", "upsert"})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# An id that begins like a date is compared as one by the server.
_MAYBE_DATE = re.compile(r"\s*(\d{4}|\d\d)[-/]")


class WritePlan(NamedTuple):
    """One statement, to be run for every row; how many rows it changed stands in the answer's `counts`."""

    sql: str
    rows: list[Row]
    counts: tuple[str, ...]

    def run(self, connection: sqlite3.Connection) -> Message:
        """Raises sqlite3.Error at the first row that is refused: those before it are written."""
        return {"ok": 1} | dict.fromkeys(self.counts, connection.executemany(self.sql, self.rows).rowcount)


def plan(message: Message, database: Any) -> WritePlan | None:
    """None for what only the server's own way serves: any command, document, filter or option beyond the usual ones.

    It writes the same rows as the server's way, which copies, walks and checks each document and looks for it first.
    """
    match message["sections"]:
        case [("body", {"insert": str(name)} as body), ("payload", {"documents": [_, *_] as documents})]:
            return _insertion(name, documents) if _is_usual(name, body) else None
        case [("body", {"update": str(name)} as body), ("payload", {"updates": [_, *_] as updates})]:
            return _replacement(name, updates, database) if _is_usual(name, body) else None
    return None


def _is_usual(name: str, body: Message) -> bool:
    return body.keys() <= _KNOWN and _NAME.fullmatch(name) is not None


def _insertion(name: str, documents: Sequence[Message]) -> WritePlan | None:
    rows: list[Row] = []
    for document in documents:
        text, own = as_json(document), document.get("_id")
        if text is None or type(own) is not str:
            return None
        rows.append((text, own))
    return WritePlan(f"INSERT INTO {name}(data, _id) VALUES (?, ?)", rows, ("n",))


def _replacement(name: str, updates: Sequence[Message], database: Any) -> WritePlan | None:
    rows: list[Row] = []
    for update in updates:
        if (row := _replaced(update)) is None:
            return None
        rows.append(row)
    where = _condition(database[name].query_engine.sql_translator)
    return None if where is None else WritePlan(f"UPDATE {name} SET data = ? {where}", rows, ("n", "nModified"))


@lru_cache(maxsize=64)
def _condition(translator: Any) -> str | None:
    """The server's own for an id and a version; it takes the version twice, for that might be an array's element."""
    where, values = translator.translate_match({"_id": "id", "version": 1})
    return where if values == ["id", 1, 1] else None


def _replaced(update: Message) -> Row | None:
    """The new text, and what the server's condition takes."""
    if not update.keys() <= _REPLACE or update.get("multi") or update.get("upsert"):
        return None
    match update:
        case {"q": {"_id": str(own), "version": int(version), **others}, "u": {"_id": same} as document} if (
            same == own and not others and type(version) is not bool
        ):
            if "$" not in "".join(document) and not _MAYBE_DATE.match(own) and (text := as_json(document)):
                return text, own, version, version
    return None


def as_json(document: Any) -> str | None:
    """None when a value has a type of BSON's own, which the server stores in a way of its own."""
    try:
        return orjson.dumps(document, option=orjson.OPT_PASSTHROUGH_DATETIME).decode()
    except TypeError:
        return None
