"""What tasks leave open at vendors as they end, whenever the process dies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.common.errors import NotFound, OutcomeUnknown, Unavailable
from services.durable.due_list import next_due
from services.tasks.creation import NewTask
from services.tasks.domain import SECOND, Failure, Task, TaskState
from services.tasks.due import orphaned_calls_list
from services.tasks.messages import Messages
from services.tasks.orphan_reaper import OrphanReaper, OrphanRecorder, OrphanTiming
from services.tasks.ports import OrphanedCalls
from services.tasks.provider_calls import CallOutcome, ProviderCallRecord
from services.tasks.removal import RemovalDetails, Remover
from services.tasks.service import RetryPolicy, RunReport, TaskService, lease_expired
from tests.fakes.due_items import MemoryDueItems
from tests.fakes.mongo import Database, Life, Store
from tests.fakes.removals import MemoryFiles, MemoryRemovals
from tests.fakes.task_repository import MemoryTaskRepository

SPEC = '{"common":{"provider_config":{"fal_app_id":"x"},"fallback_provider_config":{"model":"y"}},"params":{}}'
SUBMITTED = ProviderCallRecord(
    "FAL", 1, "req-1", CallOutcome.SUBMITTED, 0.0, id="token-1", started_at=5, job_details='{"app":"x"}'
)
PASSING = Failure("LEASE_EXPIRED", "lost", "INTERNAL", retryable=True)
LASTING = Failure("PROVIDER_OUTCOME_UNKNOWN", "who knows", "PROVIDER", retryable=False)
DAY = 24 * 3600.0


class Place:
    """A tasks service whose clock is set by hand; `ordered` is what workers were asked."""

    def __init__(self) -> None:
        self.now = 1_000 * SECOND
        self.tasks = MemoryTaskRepository()
        self.ends: MemoryDueItems[OrphanedCalls] = MemoryDueItems()
        self.ordered: list[tuple[str, str]] = []
        self.bus_away = False
        patience = OrphanTiming(grace=30.0, first=60.0, longest=600.0, last=DAY)
        notes = OrphanRecorder(self.ends, self.clock, patience)
        self.service = TaskService(self.tasks, self.clock, RetryPolicy(attempts=2, first=0.0), completion_hook=notes)
        self.orphan_reaper = OrphanReaper(self.ends, self.service, self.tasks, self, self.clock, patience)

    def clock(self) -> int:
        self.now += 1
        return self.now

    async def resolve_orphans(self, queue: str, task_id: str) -> None:
        if self.bus_away:
            raise ConnectionError
        self.ordered.append((queue, task_id))

    async def running(self, *calls: ProviderCallRecord) -> Task:
        task = (await self.service.create(NewTask("acme", "GENERATION", "q", SPEC, 0, "test"))).task
        await self.service.claim("w1", task, 1)
        for call in calls or (SUBMITTED,):
            await self.service.record(task.id, "w1", 1, call)
        return await self.tasks.get(task.id)

    async def waiting(self, *calls: ProviderCallRecord) -> Task:
        """For its second attempt, as the worker of the first one died."""
        task = await self.running(*calls)
        await self.service.finish(lease_expired(task.id, 1))
        return await self.tasks.get(task.id)

    async def pass_time(self, seconds: float) -> int:
        """Answers how many orders that brought."""
        before = len(self.ordered)
        self.now += int(seconds * SECOND)
        await self.orphan_reaper.sweep()
        return len(self.ordered) - before


@pytest.fixture
def place() -> Place:
    return Place()


async def test_a_task_cancelled_between_attempts_has_its_job_ended_at_once_and_once(place: Place) -> None:
    task = await place.waiting()
    assert not place.ends.waiting
    await place.service.cancel("acme", task.id)
    assert await place.pass_time(1) == 1
    assert place.ordered == [("q", task.id)]
    [found] = await place.orphan_reaper.take(task.id)
    assert (found.call, found.config) == (SUBMITTED, '{"fal_app_id":"x"}')
    await place.service.record(task.id, "w2", 1, replace(SUBMITTED, outcome=CallOutcome.CANCELLED))
    assert await place.orphan_reaper.take(task.id) == ()
    assert await place.pass_time(3600) == 0
    assert not place.ends.waiting
    assert (await place.tasks.get(task.id)).service_calls[0].outcome == CallOutcome.CANCELLED


async def test_the_worker_that_holds_a_cancelled_task_is_left_to_end_its_job_itself(place: Place) -> None:
    task = await place.running()
    await place.service.cancel("acme", task.id)
    assert await place.pass_time(20) == 0
    assert await place.pass_time(20) == 1


async def test_a_task_that_fails_for_good_leaves_no_job_running(place: Place) -> None:
    task = await place.waiting()
    await place.service.claim("w2", task, 2)
    await place.service.finish(lease_expired(task.id, 2))
    assert (await place.tasks.get(task.id)).state is TaskState.FAILED
    assert await place.pass_time(31) == 1


async def test_an_end_that_was_reported_by_a_worker_is_noted_too(place: Place) -> None:
    task = await place.running()
    unknown = replace(SUBMITTED, outcome=CallOutcome.UNKNOWN)
    ending = RunReport(task.id, 1, failure=LASTING, calls=(unknown,))
    assert await place.service.finish_all([ending]) == [True]
    assert place.ends.waiting[task.id].calls == (unknown,)


@pytest.mark.parametrize(
    ("call", "loose"),
    [
        (SUBMITTED, True),
        (replace(SUBMITTED, request_id="", outcome=CallOutcome.INTENDED), True),
        (replace(SUBMITTED, outcome=CallOutcome.UNKNOWN), True),
        (replace(SUBMITTED, request_id="", outcome=CallOutcome.UNKNOWN), True),
        (replace(SUBMITTED, request_id="", job_details="", outcome=CallOutcome.UNKNOWN), False),
        (replace(SUBMITTED, outcome=CallOutcome.UNKNOWN, reason=OutcomeUnknown.GIVEN_UP), False),
        *(
            (replace(SUBMITTED, outcome=end), False)
            for end in (CallOutcome.SUCCEEDED, CallOutcome.FAILED, CallOutcome.CANCELLED)
        ),
        (ProviderCallRecord("LOCAL", 1, "", CallOutcome.SUCCEEDED, 0.5), False),
    ],
)
def test_only_what_a_vendor_can_be_asked_for_is_loose(call: ProviderCallRecord, loose: bool) -> None:
    assert call.is_orphaned is loose


async def test_ends_without_open_calls_are_written_as_ever(place: Place) -> None:
    own = ProviderCallRecord("LOCAL", 1, "", CallOutcome.SUCCEEDED, 0.5)
    task = await place.running(replace(SUBMITTED, outcome=CallOutcome.SUCCEEDED))
    assert await place.service.finish_all([RunReport(task.id, 1, result="{}", calls=(own,))]) == [True]
    assert not place.ends.waiting


async def test_while_nobody_answers_it_is_asked_again_with_growing_pauses(place: Place) -> None:
    task = await place.waiting()
    await place.service.cancel("acme", task.id)
    gaps: list[float] = []
    last = place.now
    while len(gaps) < 6:
        if await place.pass_time(10):
            gaps.append(round((place.now - last) / SECOND))
            last = place.now
            assert await place.orphan_reaper.take(task.id)
    assert gaps == [10, 60, 120, 240, 480, 600]


async def test_without_a_worker_it_is_asked_every_minute(place: Place) -> None:
    task = await place.waiting()
    await place.service.cancel("acme", task.id)
    assert [await place.pass_time(61) for _ in range(5)] == [1] * 5
    assert place.ends.waiting[task.id].tries == 0


async def test_after_a_day_it_is_given_up_and_said_so(place: Place) -> None:
    task = await place.waiting()
    await place.service.cancel("acme", task.id)
    await place.pass_time(DAY + 1)
    [call] = (await place.tasks.get(task.id)).service_calls
    assert (call.outcome, call.reason, call.request_id) == (CallOutcome.UNKNOWN, OutcomeUnknown.GIVEN_UP, "req-1")
    assert call.error == "it may have been charged; asked for 24 h in vain"
    assert not place.ends.waiting and not place.ordered


async def test_a_replayed_task_asks_for_its_job_itself(place: Place) -> None:
    task = await place.running()
    await place.service.finish(RunReport(task.id, 1, failure=LASTING))
    await place.service.replay("acme", task.id)
    assert await place.pass_time(31) == 0
    assert await place.orphan_reaper.take(task.id) == ()
    await place.pass_time(700)
    assert not place.ends.waiting
    task = await place.tasks.get(task.id)
    await place.service.claim("w2", task, 2)
    await place.service.finish(RunReport(task.id, 2, failure=LASTING))
    assert await place.pass_time(31) == 1


async def test_an_end_that_was_noted_and_never_written_changes_nothing(place: Place) -> None:
    task = await place.waiting()
    await place.service.cancel("acme", task.id)
    place.tasks.stored[task.id] = task
    assert await place.pass_time(1) == 0
    assert await place.orphan_reaper.take(task.id) == ()
    assert task.id in place.ends.waiting  # its write may still be on the way
    await place.pass_time(700)
    assert not place.ends.waiting


async def test_a_late_word_of_a_lost_worker_is_not_missed(place: Place) -> None:
    intended = replace(SUBMITTED, request_id="", outcome=CallOutcome.INTENDED)
    task = await place.waiting(intended)
    await place.service.cancel("acme", task.id)
    await place.service.record(task.id, "w2", 1, intended.given_up("nothing found"))
    await place.pass_time(1)
    assert not place.ends.waiting
    await place.service.record(task.id, "w1", 1, replace(SUBMITTED, outcome=CallOutcome.UNKNOWN))
    assert await place.pass_time(1) == 1


@pytest.mark.parametrize("published", [True, False])
async def test_the_job_of_a_deleted_task_is_ended_too(place: Place, published: bool) -> None:
    """Its document may have to stay until its last event is out."""
    task = await place.waiting()
    messages, log = Messages(), MemoryRemovals(place.tasks)
    log.published = published
    details = RemovalDetails(messages.folders, messages.last_words)
    remover = Remover(place.service, place.tasks, log, MemoryFiles(), details, place.clock, log.bury)
    await remover.delete("acme", task.id)
    assert (task.id in place.tasks.stored) is not published
    assert await place.pass_time(1) == 1
    [found] = await place.orphan_reaper.take(task.id)
    assert found.call == SUBMITTED
    settled = replace(SUBMITTED, outcome=CallOutcome.CANCELLED)
    with pytest.raises(NotFound):
        await place.service.record(task.id, "w2", 1, settled)
    assert await place.orphan_reaper.heard(task.id, settled)
    assert not await place.orphan_reaper.heard(task.id, replace(settled, id="another"))
    assert await place.pass_time(3600) == 0
    assert not place.ends.waiting
    assert not await place.orphan_reaper.heard(task.id, settled)


async def test_a_deleted_task_is_given_up_as_well(place: Place) -> None:
    task = await place.waiting()
    await place.service.cancel("acme", task.id)
    del place.tasks.stored[task.id]
    await place.pass_time(DAY + 1)
    assert not place.ends.waiting


async def test_a_bus_or_store_that_is_away_holds_up_nobody(place: Place) -> None:
    task = await place.waiting()
    await place.service.cancel("acme", task.id)
    place.bus_away = True
    assert await place.pass_time(1) == 0
    place.bus_away = False
    assert await place.pass_time(61) == 1


async def test_where_the_note_cannot_be_written_nothing_ends(place: Place) -> None:
    class Away(MemoryDueItems[OrphanedCalls]):
        async def begin(self, loose: OrphanedCalls) -> None:
            raise Unavailable("the store is away")

    task = await place.waiting()
    notes = OrphanRecorder(Away(), place.clock, OrphanTiming())
    service = TaskService(place.tasks, place.clock, RetryPolicy(), completion_hook=notes)
    with pytest.raises(Unavailable):
        await service.cancel("acme", task.id)
    assert (await place.tasks.get(task.id)).state is TaskState.PENDING


async def test_a_loose_end_survives_the_store_and_only_its_own_is_changed() -> None:
    database: Any = Database(Store(), Life())
    ends = orphaned_calls_list(database)
    call = replace(SUBMITTED, cost=0.25, fallback=True)
    first = OrphanedCalls("t", "q", (call, SUBMITTED), ('{"a":1}', "{}"), 1, 2, 3, "n1")
    await ends.begin(first)
    assert await ends.get("t") == first
    assert await ends.due(1, limit=9) == [] and await ends.due(2, limit=9) == [first]
    later = replace(first, nonce="n2", due=9)
    await ends.begin(later)
    await ends.change(replace(first, due=0))
    await ends.end(first)
    assert await ends.get("t") == later
    await ends.change(replace(later, tries=4))
    await ends.end(later)
    assert await ends.get("t") is None


async def test_the_next_that_is_due_is_the_first_behind_a_time() -> None:
    database: Any = Database(Store(), Life())
    ends = orphaned_calls_list(database)
    for name, due in (("late", 9), ("soon", 4), ("now", 2)):
        await ends.begin(OrphanedCalls(name, "q", (), ("{}", "{}"), 1, due, 0, "n"))
    asked = [await next_due(database["orphaned_calls"], after) for after in (1, 2, 4, 9)]
    assert asked == [2, 4, 9, None]
