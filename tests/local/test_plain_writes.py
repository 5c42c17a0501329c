"""The embedded store's faster way for plain documents leaves and answers what the server's own way would."""

from __future__ import annotations

import inspect
import itertools
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from copy import deepcopy
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from hypothesis import given, settings
from hypothesis import strategies as st
from neosqlite.collection import json_helpers
from neosqlite.collection.sql_translator_unified import SQLTranslator
from nx_27017 import daemon, server
from nx_27017.handler import NeoSQLiteHandler
from pymongo import MongoClient, ReplaceOne
from pymongo.errors import BulkWriteError, PyMongoError

from deploy.local import plain_writes, stores
from deploy.local.mongo_server import GroupingHandler
from deploy.local.paths import StackFolder
from deploy.local.ports import HOST, free_ports
from tests.stack import running

Document = dict[str, Any]
Collection = Any
_collections = itertools.count()


class Side:
    """A server, asked by a real client, and its rows."""

    def __init__(self, client: MongoClient[Document], home: StackFolder) -> None:
        self._client, self._home = client, home

    def collection(self, name: str) -> Collection:
        return self._client["plain"][name]

    def rows(self, name: str) -> list[tuple[int, Any, Any]]:
        with closing(sqlite3.connect(self._home.data / "mongodb" / "plain.db")) as connection:
            found = connection.execute(f"SELECT id, _id, data FROM {name} ORDER BY id").fetchall()
        return [(number, own, json.loads(text)) for number, own, text in found]


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Side, Side]]:
    """Ours, and the server as it is published."""
    with ExitStack() as stack:
        made = []
        for module in ("deploy.local.mongo_server", "nx_27017.nx_27017"):
            home, [port] = StackFolder(tmp_path_factory.mktemp("store")), free_ports(1)
            component = stores.mongodb(home, port)
            words = (module if word == "deploy.local.mongo_server" else word for word in component.command)
            stack.enter_context(running(replace(component, command=tuple(words)), home))
            made.append(Side(stack.enter_context(MongoClient(HOST, port)), home))
        yield made[0], made[1]


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
numbers = st.integers(-(2**63), 2**63 - 1)
plain = st.none() | st.booleans() | numbers | st.floats(allow_nan=False, allow_infinity=False) | words
odd = st.binary(max_size=4) | st.datetimes() | st.builds(ObjectId) | st.just(Decimal128("1.5"))
names = st.sampled_from(["listing", "state", "a.b", "$x", "a$"]) | words.filter(lambda word: "\0" not in word)
values = st.recursive(plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))
# Few, so that they meet; not None, of which each server would make an id of its own.
OWN = ["a", "b", "1", "2024-05-06", "2024-05-06T00:00:00", " 01/02/2024", "é\0"]
ids = st.sampled_from(OWN)
odd_ids = st.sampled_from(["01", "", 1, 2.5, True])
versions = st.sampled_from([0, 0, 0, 1, Int64(0)])
odd_versions = st.sampled_from([False, 0.0, "0", [0, 1], None, 2**40])


@st.composite
def documents(draw: st.DrawFn, unusual: bool = False) -> Document:
    fields: Document = draw(st.dictionaries(names, values, max_size=3))
    if unusual:
        fields["at"] = draw(odd | values)
    own = {
        "_id": draw(odd_ids | ids if unusual else ids),
        "version": draw(versions | odd_versions if unusual else versions),
    }
    return {**own, **fields, **own}


@st.composite
def replacements(draw: st.DrawFn, unusual: bool = False) -> tuple[Document, Document, bool]:
    """A filter, a document and whether to insert it when nothing is found."""
    document = draw(documents(unusual and draw(st.booleans())))
    wanted = {"_id": document["_id"], "version": draw(versions)}
    match unusual and draw(st.sampled_from(["upsert", "other id", "other version", "version only", "document"])):
        case "other id":
            wanted["_id"] = draw(ids)
        case "other version":
            wanted["version"] = draw(odd_versions)
        case "version only":
            del wanted["_id"]
        case "upsert":
            return wanted | {"version": draw(st.integers(0, 9))}, document, True
    return wanted, document, False


def few(of: Callable[[bool], st.SearchStrategy[Any]]) -> st.SearchStrategy[list[Any]]:
    """For one command: usual ones, or also unusual ones."""
    return st.lists(of(False), min_size=1, max_size=4) | st.lists(of(True) | of(False), min_size=1, max_size=3)


reading = st.tuples(st.just("find"), st.fixed_dictionaries({"version": versions}) | st.fixed_dictionaries({"_id": ids}))
replacing = st.tuples(st.just("replace"), few(replacements), st.booleans())
steps = st.one_of(
    replacing,
    replacing,
    st.tuples(st.just("replace one"), replacements() | replacements(unusual=True)),
    st.tuples(st.just("insert"), few(documents), st.booleans()),
    reading,
    st.tuples(st.just("drop")),
)


def first() -> list[Document]:
    return [{"_id": own, "version": 0} for own in OWN]


def take(step: Sequence[Any], to: Collection) -> Any:
    match deepcopy(step):
        case "insert", many, ordered:
            return to.insert_many(many, ordered=ordered).inserted_ids
        case "replace", many, ordered:
            writes = [ReplaceOne(wanted, document, upsert=upsert) for wanted, document, upsert in many]
            return to.bulk_write(writes, ordered=ordered).bulk_api_result
        case "replace one", (wanted, document, upsert):
            return to.replace_one(wanted, document, upsert=upsert).raw_result
        case "find", wanted:
            return sorted(to.find(wanted), key=repr)
        case _:
            to.drop()
            return to.insert_many(first()).inserted_ids


def outcome(step: Sequence[Any], to: Collection) -> Any:
    try:
        return take(step, to)
    except BulkWriteError as error:
        refused = [{**item, "op": None} for item in error.details["writeErrors"]]
        return {**error.details, "writeErrors": refused}
    except (PyMongoError, ValueError) as error:
        return type(error), str(error)


@settings(max_examples=120, deadline=None)
@given(doing=st.lists(steps, min_size=3, max_size=12))
def test_any_writes_leave_the_same_rows_and_the_same_answers(sides: tuple[Side, Side], doing: list[Any]) -> None:
    name = f"things{next(_collections)}"
    ours, theirs = (side.collection(name) for side in sides)
    for collection in (ours, theirs):
        for field in ("listing", "state"):
            collection.create_index([(field, 1)])
    for step in [("insert", first(), True), *doing, ("find", {"state": {"$gte": "x"}})]:
        assert outcome(step, ours) == outcome(step, theirs)
    assert sides[0].rows(name) == sides[1].rows(name)


@pytest.fixture
def handler(tmp_path: Path) -> Iterator[GroupingHandler]:
    made = GroupingHandler(data_dir=str(tmp_path))
    yield made
    made.close_all()


def insertion(*many: Document, **options: Any) -> Document:
    body = {"insert": "things", "ordered": False, "lsid": {"id": "one"}, "$db": "plain", **options}
    return {"request_id": 1, "sections": [("body", body), ("payload", {"documents": list(many)})]}


def replacement(wanted: Document, document: Document, **options: Any) -> Document:
    body = {"update": "things", "ordered": False, "lsid": {"id": "one"}, "$db": "plain"}
    update = {"q": wanted, "u": document, "multi": False, "upsert": False, **options}
    return {"request_id": 1, "sections": [("body", body), ("payload", {"updates": [update]})]}


BOTH = {"_id": "a", "version": Int64(1)}
USUAL = [
    insertion({"_id": "a", "deep": [{"x": Int64(1)}, None, 0.5, True]}),
    replacement(BOTH, {"_id": "a", "state": "é"}),
]
UNUSUAL = [
    insertion({"_id": 1}),
    insertion({"state": "x"}),
    insertion({"_id": "a"}, {"_id": "b", "at": ObjectId()}),
    insertion({"_id": "a", "at": [datetime(2024, 5, 6)]}),
    insertion({"_id": "a"}, comment={"is": "a document to the server"}),
    replacement(BOTH, {"_id": "a"}, upsert=True),
    replacement(BOTH, {"state": "no id"}),
    replacement(BOTH, {"_id": "b"}),
    replacement(BOTH, {"_id": "a", "at": b"x"}),
    replacement(BOTH, {"$set": {"state": "x"}, "_id": "a"}),
    replacement({"_id": "2024-05-06", "version": 1}, {"_id": "2024-05-06"}),
    replacement({"_id": "a", "version": True}, {"_id": "a"}),
    replacement({"_id": "a"}, {"_id": "a"}),
]


@pytest.mark.parametrize("message", USUAL, ids=["insert", "replace"])
def test_what_the_services_write_goes_the_faster_way(handler: GroupingHandler, message: Document) -> None:
    assert plain_writes.plan(message, handler.get_database("plain")) is not None


@pytest.mark.parametrize("message", UNUSUAL, ids=range(len(UNUSUAL)))
def test_anything_else_goes_the_way_of_the_server(handler: GroupingHandler, message: Document) -> None:
    assert plain_writes.plan(message, handler.get_database("plain")) is None


def test_a_full_disk_is_said_and_leaves_none_of_a_group(handler: GroupingHandler) -> None:
    connection = handler.get_database("plain").db
    handler.handle_insert(insertion({"_id": "before"}))
    connection.execute("PRAGMA max_page_count = 40")
    group = [{"_id": str(number), "text": "x" * 2_000} for number in range(100)]
    with pytest.raises(sqlite3.OperationalError, match="disk is full"):
        handler.handle_insert(insertion(*group))
    assert connection.execute("SELECT _id FROM things").fetchall() == [("before",)]
    assert not connection.in_transaction
    connection.execute("PRAGMA max_page_count = 4000")
    assert handler.handle_insert(insertion(*group)) == (1, {"ok": 1, "n": 100})


def test_the_published_server_still_has_what_ours_is_built_upon() -> None:
    parameters = {
        NeoSQLiteHandler.handle_insert: ["self", "msg"],
        NeoSQLiteHandler.handle_command: ["self", "msg"],
        NeoSQLiteHandler.get_database: ["self", "db_name"],
        NeoSQLiteHandler._lock_for: ["self", "db_name"],
        NeoSQLiteHandler._convert_objectids: ["self", "doc"],
        NeoSQLiteHandler._get_or_create_session: ["self", "command_doc", "db", "db_name"],
        SQLTranslator.translate_match: ["self", "match_spec", "context"],
        server.OP_MSG.parse: ["message_bytes"],
    }
    assert {function: [*inspect.signature(function).parameters] for function in parameters} == parameters
    assert "OP_MSG" in server.handle_client_threaded.__code__.co_names
    assert "NeoSQLiteHandler" in daemon.run_server_sync.__code__.co_names
    assert "NeoSQLiteJSONEncoder" in json_helpers.neosqlite_json_dumps.__code__.co_names
