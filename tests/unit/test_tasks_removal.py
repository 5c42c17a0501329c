"""Deleting and cleaning up tasks, whenever the process dies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.common.errors import IdempotencyConflict, IllegalTransition, NotFound, Overloaded
from services.tasks.creation import NewTask
from services.tasks.domain import SECOND, Failure, Task, TaskState, Verb
from services.tasks.events import render
from services.tasks.messages import Messages
from services.tasks.ports import Removal
from services.tasks.removal import RemovalDetails, Remover, folders_in
from services.tasks.service import RetryPolicy, RunReport, TaskService
from tests.fakes.removals import MemoryFiles, MemoryRemovals
from tests.fakes.task_repository import MemoryTaskRepository

RESULT = '{"result_image_path":"%s","seed":1,"width":1,"height":1}'


class Place:
    """A tasks service whose clock is set by hand; a process that dies is one whose step raises."""

    def __init__(self, **timing: float) -> None:
        self.now = 1_000 * SECOND
        self.tasks = MemoryTaskRepository()
        self.log = MemoryRemovals(self.tasks)
        self.files = MemoryFiles()
        messages = Messages()
        self.service = TaskService(self.tasks, self.clock, RetryPolicy(attempts=3, first=0.0))
        details = RemovalDetails(messages.folders, messages.last_words)
        self.remover = Remover(
            self.service,
            self.tasks,
            self.log,
            self.files,
            details,
            self.clock,
            lambda one: self.log.bury(one),
            **{"grace": 60.0, **timing},
        )

    def clock(self) -> int:
        self.now += 1
        return self.now

    async def create(self, key: str = "", spec: str = "{}", **more: Any) -> Task:
        new = NewTask("acme", "GENERATION", "inference", spec, 0, "test", idempotency_key=key, **more)
        return (await self.service.create(new)).task

    async def finished(self, **more: Any) -> Task:
        """With a picture in storage."""
        task = await self.create(**more)
        await self.service.claim("w1", task, 1)
        path = f"generations/{task.id}/picture-1.png"
        self.files.stored.add(("acme", path))
        assert await self.service.finish(RunReport(task.id, 1, result=RESULT % path))
        return await self.tasks.get(task.id)

    async def pass_time(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)
        await self.remover.sweep()


@pytest.fixture
def place() -> Place:
    return Place()


async def test_a_deleted_task_leaves_neither_record_nor_file(place: Place) -> None:
    task, other = await place.finished(), await place.finished()
    done = await place.remover.delete("acme", task.id)
    assert done.task == task
    assert done.paths == (f"generations/{task.id}/picture-1.png",)
    assert set(place.tasks.stored) == {other.id}
    assert place.files.stored == {("acme", f"generations/{other.id}/picture-1.png")}
    for call in (place.service.get("acme", task.id), place.remover.delete("acme", task.id)):
        with pytest.raises(NotFound):
            await call


async def test_a_cleaned_task_keeps_its_record_and_says_when(place: Place) -> None:
    task = await place.finished()
    done = await place.remover.clean("acme", task.id)
    found = await place.service.get("acme", task.id)
    assert (found.result, found.spec, found.state) == (task.result, task.spec, TaskState.COMPLETED)
    assert found.deleted_at == done.task.deleted_at is not None
    assert found.outbox[-1].verb is Verb.CLEANED
    assert not place.files.stored
    again = await place.remover.clean("acme", task.id)
    assert (again.task, again.paths) == (found, ())


async def test_another_tenant_can_remove_nothing(place: Place) -> None:
    task = await place.finished()
    for remove in (place.remover.delete, place.remover.clean):
        with pytest.raises(NotFound):
            await remove("rival", task.id)
    assert place.files.stored and not place.log.waiting


async def test_a_running_task_is_cancelled_first_and_its_late_end_matches_nothing(place: Place) -> None:
    task = await place.create()
    await place.service.claim("w1", task, 1)
    place.log.published = False
    done = await place.remover.delete("acme", task.id)
    assert done.task.state is TaskState.CANCELLED
    tombstone = place.tasks.stored[task.id]
    assert [item.verb for item in tombstone.outbox][-2:] == [Verb.CANCELLED, Verb.DELETED]
    assert not await place.service.finish(RunReport(task.id, 1, result="{}"))
    place.log.published = True
    await place.pass_time(5)
    assert task.id not in place.tasks.stored
    assert not await place.service.finish(RunReport(task.id, 1, result="{}"))


async def test_what_a_worker_stores_after_it_lost_its_run_is_found_later(place: Place) -> None:
    task = await place.create()
    await place.service.claim("w1", task, 1)
    await place.remover.delete("acme", task.id)
    place.files.stored.add(("acme", f"generations/{task.id}/late-1.png"))
    await place.pass_time(30)
    assert place.files.stored
    await place.pass_time(40)
    assert not place.files.stored and not place.log.waiting


async def test_a_tombstone_waits_for_its_last_event_and_says_nothing_of_what_was_asked(place: Place) -> None:
    task = await place.finished(spec='{"common":{},"params":{"prompt":"a secret mug"}}')
    place.log.published = False
    await place.remover.delete("acme", task.id)
    tombstone = place.tasks.stored[task.id]
    assert tombstone.erased and "secret" not in repr(tombstone) and tombstone.result is None
    event = render(tombstone, tombstone.outbox[-1])
    assert event.subject == f"evt.v1.acme.task.{task.id}.deleted"
    for call in (place.service.get, place.service.cancel, place.service.replay, place.remover.clean):
        with pytest.raises(NotFound):
            await call("acme", task.id)
    await place.pass_time(3)
    assert task.id in place.tasks.stored
    place.log.published = True
    await place.pass_time(3)
    assert task.id not in place.tasks.stored


async def test_whoever_is_to_be_called_still_is(place: Place) -> None:
    spec = '{"common":{"webhook_url":"https://example.com/x","origin_reference":"secret"},"params":{}}'
    task = await place.finished(spec=spec)
    place.log.published = False
    await place.remover.delete("acme", task.id)
    kept = place.tasks.stored[task.id].spec
    assert '"webhook_url":"https://example.com/x"' in kept and "secret" not in kept


async def test_files_that_cannot_be_deleted_now_are_deleted_later(place: Place) -> None:
    task = await place.finished()
    place.files.away = True
    done = await place.remover.delete("acme", task.id)
    assert len(done.errors) == 1 and not done.paths
    with pytest.raises(NotFound):
        await place.service.get("acme", task.id)
    await place.pass_time(20)
    assert place.files.stored
    place.files.away = False
    await place.pass_time(5)
    assert not place.files.stored and task.id not in place.tasks.stored


class Died(Exception):
    """The process is gone."""


@pytest.mark.parametrize("erase", [True, False])
@pytest.mark.parametrize("step", ["begin", "save", "delete_prefix", "bury", "change"])
@pytest.mark.parametrize("after", [True, False])
async def test_whenever_the_process_dies_the_next_one_carries_on(
    place: Place, monkeypatch: pytest.MonkeyPatch, erase: bool, step: str, after: bool
) -> None:
    """Before and after each step; only what no intent speaks of yet is left as it was."""
    task = await place.finished()
    holder: Any = {"save": place.tasks, "delete_prefix": place.files}.get(step, place.log)
    real = getattr(holder, step)

    async def dying(*arguments: Any, **named: Any) -> None:
        if after:
            await real(*arguments, **named)
        raise Died

    remove = place.remover.delete if erase else place.remover.clean
    with monkeypatch.context() as patch:
        patch.setattr(holder, step, dying)
        dies = not (step == "bury" and not erase)
        if dies:
            with pytest.raises(Died):
                await remove("acme", task.id)
        else:
            await remove("acme", task.id)
    await place.pass_time(20)
    await place.pass_time(100)
    if (step, after) == ("begin", False):
        assert await place.service.get("acme", task.id) == task and place.files.stored
        return
    assert not place.files.stored and not place.log.waiting
    if erase:
        assert task.id not in place.tasks.stored
    else:
        assert place.tasks.stored[task.id].deleted_at is not None


async def test_a_removal_that_was_never_marked_does_not_take_a_task_that_runs_again(place: Place) -> None:
    task = await place.create()
    await place.service.claim("w1", task, 1)
    await place.service.finish(RunReport(task.id, 1, failure=Failure("BAD", "no", "VALIDATION", retryable=False)))
    await place.log.begin(Removal(task.id, "acme", True, (), 0, 0, "n"))
    await place.service.replay("acme", task.id)
    await place.pass_time(20)
    assert (await place.service.get("acme", task.id)).state is TaskState.PENDING
    assert not place.log.waiting


async def test_a_cleaned_failure_cannot_be_replayed(place: Place) -> None:
    task = await place.create()
    await place.service.claim("w1", task, 1)
    await place.service.finish(RunReport(task.id, 1, failure=Failure("BAD", "no", "VALIDATION", retryable=False)))
    await place.remover.clean("acme", task.id)
    with pytest.raises(IllegalTransition) as caught:
        await place.service.replay("acme", task.id)
    assert caught.value.reason == "TASK_CLEANED"


async def test_a_key_whose_task_was_deleted_makes_no_other_task(place: Place) -> None:
    """Its id would be the deleted one's, and a late worker could finish it."""
    task = await place.finished(key="once")
    place.log.published = False
    await place.remover.delete("acme", task.id)
    with pytest.raises(IdempotencyConflict) as caught:
        await place.create(key="once")
    assert caught.value.reason == "IDEMPOTENCY_KEY_SPENT"


async def failed(place: Place) -> Task:
    task = await place.create()
    await place.service.claim("w1", task, 1)
    await place.service.finish(RunReport(task.id, 1, failure=Failure("BAD", "no", "VALIDATION", retryable=False)))
    return task


async def test_one_that_runs_again_in_between_is_cancelled_and_removed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = await failed(place)
    begin = place.log.begin

    async def meanwhile(removal: Removal) -> None:
        await begin(removal)
        monkeypatch.setattr(place.log, "begin", begin)
        await place.service.replay("acme", task.id)

    monkeypatch.setattr(place.log, "begin", meanwhile)
    assert (await place.remover.delete("acme", task.id)).task.state is TaskState.CANCELLED
    assert not place.tasks.stored


async def test_one_that_always_runs_again_is_not_chased_for_ever(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    task = await failed(place)

    async def changed(*_: Any) -> Task:
        raise IllegalTransition("it runs again")

    monkeypatch.setattr(place.service, "change", changed)
    with pytest.raises(Overloaded) as refused:
        await place.remover.delete("acme", task.id)
    assert refused.value.reason == "CONTENTION"


async def test_whoever_began_a_removal_is_left_alone_with_it_for_three_times_its_patience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = Place(patience=5.0)
    task = await place.finished()
    with monkeypatch.context() as patch:
        patch.setattr(place.tasks, "save", died)
        with pytest.raises(Died):
            await place.remover.delete("acme", task.id)
    await place.pass_time(14.9)
    assert task.id in place.tasks.stored
    await place.pass_time(0.2)
    assert task.id not in place.tasks.stored


async def died(*_: Any) -> bool:
    raise Died


async def test_a_store_that_is_away_is_asked_again_every_two_seconds(place: Place) -> None:
    task = await place.finished()
    place.files.away = True
    await place.remover.clean("acme", task.id)
    await place.pass_time(20)
    asked = place.files.asked
    await place.pass_time(1.9)
    assert place.files.asked == asked
    await place.pass_time(0.2)
    assert place.files.asked == asked + 1


async def test_a_store_that_hangs_is_told_of_and_left_for_later() -> None:
    place = Place(patience=0.01)
    task = await place.finished()
    place.files.hangs = True
    done = await place.remover.clean("acme", task.id)
    assert done.errors == (f"generations/{task.id}/: the store takes longer than 0.01 s",)
    place.files.hangs = False
    await place.pass_time(5)
    assert not place.files.stored


async def test_a_clean_task_whose_deletion_was_cut_short_is_deleted_all_the_same(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = await place.finished()
    await place.remover.clean("acme", task.id)
    with monkeypatch.context() as patch:
        patch.setattr(place.tasks, "save", died)
        with pytest.raises(Died):
            await place.remover.delete("acme", task.id)
    await place.pass_time(20)
    assert task.id not in place.tasks.stored


def test_folders_named_for_the_task_are_found_in_its_result() -> None:
    task_id = "0b5f"
    text = f'{{"a":"videos/{task_id}/v-1.mp4","b":["x/y/{task_id}/z.png","other/1/z.png"],"c":"{task_id}/no.png"}}'
    assert folders_in(text, task_id) == {f"videos/{task_id}/", f"x/y/{task_id}/"}


async def test_pictures_that_came_with_the_request_go_too(place: Place) -> None:
    task = await place.finished(inputs="references/0123456789abcdef/")
    place.files.stored.add(("acme", "references/0123456789abcdef/one.png"))
    place.files.stored.add(("acme", "references/shared.png"))
    await place.remover.delete("acme", replace(task).id)
    assert place.files.stored == {("acme", "references/shared.png")}
