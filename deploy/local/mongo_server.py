"""Runs the embedded MongoDB wire server: without a log line per command, with one SQLite transaction for each, and
with a faster way through plain documents."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import NoneType
from typing import Any

from bson.int64 import Int64
from neosqlite.collection import json_helpers
from nx_27017 import daemon, handler, nx_27017, server, utils

from deploy.local import plain_writes
from deploy.local.wire_messages import MessageParser
from services.common.memory import calm_collector

Message = dict[str, Any]
Answer = tuple[Any, Message]
_WRITES = frozenset({"insert", "update"})
_AS_STORED = (", ", ": ", False)
_PLAIN = frozenset({str, int, Int64, float, bool, bytes, NoneType})


class GroupingHandler(handler.NeoSQLiteHandler):  # type: ignore[misc]  # published without types
    """A command's documents become durable together, before it is answered.

    By itself the server commits each document, which writes every index page it touched again for the next one: a
    group of 64 takes it almost twice the CPU.
    """

    def handle_insert(self, message: Message) -> Answer:
        return self._together(super().handle_insert, message)

    def handle_command(self, message: Message) -> Answer:
        return self._together(super().handle_command, message)

    def _convert_objectids(self, doc: Message) -> Any:
        return own_values(doc)

    def _together(self, handle: Callable[[Message], Answer], message: Message) -> Answer:
        """Raises sqlite3.Error when the disk refuses: then none of the documents is there, and the client is told."""
        body: Message = next((part for kind, part in message["sections"] if kind == "body"), {})
        if not _WRITES & body.keys() or "autocommit" in body:
            return handle(message)
        with self._lock_for(body["$db"]):
            database = self.get_database(body["$db"])
            connection: sqlite3.Connection = database.db
            if connection.in_transaction:
                return handle(message)
            if plan := plain_writes.plan(message, database):
                self._get_or_create_session(body, database, body["$db"])
                try:
                    with _transaction(connection):
                        return message["request_id"], plan.run(connection)
                except sqlite3.Error as error:
                    if not _is_for_the_server(error):
                        raise
            with _transaction(connection):
                return handle(message)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        if not connection.in_transaction:
            raise sqlite3.OperationalError("the transaction was rolled back")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _is_for_the_server(error: sqlite3.Error) -> bool:
    """Which document is a duplicate, and a collection that is to be made again, are for its own way."""
    return isinstance(error, sqlite3.IntegrityError) or "no such table" in str(error)


class PlainEncoder(json_helpers.NeoSQLiteJSONEncoder):  # type: ignore[misc]  # published without types
    """What has no value of BSON's own is written three times as fast, and means the same; but NaN becomes null."""

    def encode(self, document: Any) -> str:
        if (self.item_separator, self.key_separator, self.sort_keys) == _AS_STORED:
            text = plain_writes.as_json(document)
            if text is not None:
                return text
        return str(super().encode(document))


def own_values(document: Any) -> Any:
    """With the server's object ids in place of BSON's; as the server does it, but for a look at each plain value."""
    if type(document) is dict:
        return {name: value if type(value) in _PLAIN else own_values(value) for name, value in document.items()}
    if type(document) is list:
        return [value if type(value) in _PLAIN else own_values(value) for value in document]
    return utils.convert_bson_to_neo_objectids(document)


def main() -> None:
    logging.disable(logging.INFO)
    daemon.NeoSQLiteHandler = GroupingHandler
    server.OP_MSG = MessageParser
    json_helpers.NeoSQLiteJSONEncoder = PlainEncoder
    calm_collector()
    nx_27017.main()


if __name__ == "__main__":
    main()
