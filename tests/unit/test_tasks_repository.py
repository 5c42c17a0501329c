"""What the store's answers mean, without a store."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pymongo.errors import DuplicateKeyError, OperationFailure

from services.common.errors import Internal, NotFound, Unavailable
from services.common.parents import TaskParent
from services.durable.relay import OutboxRelay
from services.tasks.domain import Task
from services.tasks.outgoing import outgoing
from services.tasks.repository import CODEC, MongoTaskRepository, remains_of, to_document

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


def test_the_id_of_a_deleted_step_stays_taken() -> None:
    """Its parent may create it again after any crash, and would be given a new run."""
    step = replace(TASK, parent=TaskParent("workflow", "w", "cut out", 1))
    assert remains_of(TASK) is None
    left = CODEC.decode({"_id": step.id, **(remains_of(step) or {})})
    assert left.erased and left.spec is None


def test_a_step_is_stored_with_its_parent_and_a_placeholder_is_listed_nowhere() -> None:
    step = replace(TASK, parent=TaskParent("training", "t", 'a "step"[0]', 3), quiet=True, max_attempts=1)
    assert CODEC.decode(to_document(step)) == step
    placeholder = Task.placeholder_of("acme", TaskParent("training", "t", "s", 1), now=5)
    document = to_document(placeholder)
    assert "listing" not in document and CODEC.decode(document) == placeholder


def test_what_is_no_step_costs_the_store_nothing_more() -> None:
    assert not {"parent", "quiet", "placeholder"} & to_document(TASK).keys()
