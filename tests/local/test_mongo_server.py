"""The embedded store groups a command's writes into one transaction without changing what a command means."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient, ReplaceOne
from pymongo.errors import BulkWriteError

from deploy.local import stores
from deploy.local.paths import StackFolder
from deploy.local.ports import HOST, free_ports
from tests.stack import running

Client = MongoClient[dict[str, Any]]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    home, [port] = StackFolder(tmp_path_factory.mktemp("store")), free_ports(1)
    with running(stores.mongodb(home, port), home), Client(HOST, port) as client:
        yield client


def test_a_duplicate_does_not_take_its_neighbours_with_it(client: Client) -> None:
    things = client["one"]["things"]
    things.insert_one({"_id": 2})
    with pytest.raises(BulkWriteError) as refused:
        things.insert_many([{"_id": number} for number in range(5)], ordered=False)
    assert [error["index"] for error in refused.value.details["writeErrors"]] == [2]
    assert sorted(item["_id"] for item in things.find({})) == [0, 1, 2, 3, 4]


def test_a_group_of_replacements_counts_those_that_matched(client: Client) -> None:
    things = client["two"]["things"]
    things.insert_many([{"_id": number, "version": number % 2} for number in range(6)])
    writes = [ReplaceOne({"_id": number, "version": 0}, {"_id": number, "version": 9}) for number in range(6)]
    assert things.bulk_write(writes, ordered=False).matched_count == 3
    assert things.count_documents({"version": 9}) == 3


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    home, [port] = StackFolder(tmp_path), free_ports(1)
    component = stores.mongodb(home, port)
    with running(component, home) as child, Client(HOST, port) as client:
        client["one"]["things"].insert_many([{"_id": number} for number in range(200)], ordered=False)
        client["one"]["plain"].insert_many([{"_id": str(number)} for number in range(200)], ordered=False)
        child.kill_group()
    with running(component, home), Client(HOST, port) as client:
        assert client["one"]["things"].count_documents({}) == 200
        assert client["one"]["plain"].count_documents({}) == 200


def test_transactions_of_a_client_work_as_before(client: Client) -> None:
    things = client["three"]["things"]
    things.insert_one({"_id": "before"})
    with client.start_session() as session, session.start_transaction():
        things.insert_one({"_id": "inside"}, session=session)
    assert {item["_id"] for item in things.find({})} == {"before", "inside"}
