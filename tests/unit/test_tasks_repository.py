"""What the store's answers mean, without a store."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.errors import DuplicateKeyError, OperationFailure

from services.common.errors import Internal, NotFound, Unavailable
from services.durable.relay import OutboxRelay
from services.tasks.domain import Task
from services.tasks.repository import CODEC, MongoTaskRepository, to_document
from services.tasks.webhook_notices import outgoing

TASK = Task(
    id="t1", tenant="acme", task_type="DIAGNOSTIC", queue="q", spec="{}", priority=50, created_at=1, updated_at=1
).created()


class Cursor:
    def __init__(self, found: list[dict[str, Any]] | None) -> None:
        self._found = found

    async def to_list(self, _: int | None) -> list[dict[str, Any]]:
        if self._found is None:
            raise OperationFailure("the disk is gone")
        return self._found


class Refusing:
    """A collection where the id is taken, and which fails when it is first asked by whom."""

    asked = 0

    async def insert_one(self, _: dict[str, Any]) -> None:
        raise DuplicateKeyError("it is taken")

    def find(self, *_: object) -> Cursor:
        self.asked += 1
        return Cursor(None if self.asked == 1 else [{"_id": "t1"}])  # without a `relay`


class Publisher:
    connection = 0


async def test_a_collision_that_cannot_be_read_leaves_no_number_open() -> None:
    publisher: Any = Publisher()
    database: Any = {"tasks": Refusing()}
    outbox: OutboxRelay[Task] = OutboxRelay(publisher, publisher, outgoing)
    repository = MongoTaskRepository(database, outbox, lambda _: None)
    with pytest.raises(Unavailable):
        await repository.add(TASK)
    await repository.settled()
    assert outbox.settled and outbox.through == 1


def test_what_a_later_version_wrote_hides_no_neighbour() -> None:
    later = to_document(TASK) | {"_id": "t2", "state": "PAUSED"}
    assert CODEC.readable([later, to_document(TASK)]) == [TASK]
    with pytest.raises(Internal):
        CODEC.decode(later)


def test_what_stays_of_a_deleted_task_can_neither_be_claimed_nor_replayed() -> None:
    bare = CODEC.decode({"_id": "t1", "version": 3, "state": "FAILED", "erased": True, "tenant": "", "outbox": "[]"})
    with pytest.raises(NotFound):
        bare.claimed("w1", 1)
    with pytest.raises(NotFound):
        bare.replayed(1, 3)
