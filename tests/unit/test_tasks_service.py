"""The life of a task."""

import asyncio
import gc
import hashlib
from dataclasses import replace
from typing import Any

import pytest

from services.common.errors import IdempotencyConflict, IllegalTransition, NotFound, Overloaded, Unavailable
from services.common.paging import ListWindow
from services.durable.aggregates import InsertResult
from services.tasks.clock import SteadyClock
from services.tasks.creation import NewTask
from services.tasks.domain import SECOND, Failure, Task, TaskState, Verb
from services.tasks.ports import TaskQuery
from services.tasks.provider_calls import ProviderCallRecord
from services.tasks.repository import CODEC, to_document
from services.tasks.service import RetryPolicy, RunReport, TaskService, lease_expired
from tests.fakes.task_repository import MemoryTaskRepository

PASSING = Failure("TRITON_DOWN", "the model died", "PROVIDER", retryable=True)
FINAL = Failure("IMAGE_INVALID", "not a picture", "VALIDATION", retryable=False)


def new(key: str = "", spec: str = "{}", tenant: str = "acme") -> NewTask:
    return NewTask(tenant, "GENERATION", "inference", spec, 0, "test", idempotency_key=key)


@pytest.fixture
def repository() -> MemoryTaskRepository:
    return MemoryTaskRepository()


@pytest.fixture
def service(repository: MemoryTaskRepository) -> TaskService:
    return TaskService(repository, SteadyClock(), RetryPolicy(attempts=3, first=0.0))


async def started(service: TaskService, worker: str = "w1") -> Task:
    task = (await service.create(new())).task
    return await service.claim(worker, task, 1)


async def test_a_task_is_created_claimed_and_completed(service: TaskService) -> None:
    task = await started(service)
    assert await service.finish(RunReport(task.id, 1, result='{"ok":1}'))
    done = await service.get("acme", task.id)
    assert (done.state, done.result, done.version) == (TaskState.COMPLETED, '{"ok":1}', 3)
    assert [item.verb for item in done.outbox] == [Verb.CREATED, Verb.EXECUTING, Verb.COMPLETED]


async def test_another_tenants_task_looks_unknown(service: TaskService) -> None:
    task = (await service.create(new())).task
    for attempt in (
        service.get("other", task.id),
        service.cancel("other", task.id),
        service.amend("other", task.id, None, lambda task: (task.spec, 1)),
        service.replay("other", task.id),
        service.get("acme", "nope"),
    ):
        with pytest.raises(NotFound) as caught:
            await attempt
        assert caught.value.reason == "TASK_NOT_FOUND"


async def test_the_same_key_and_body_give_the_same_task(service: TaskService) -> None:
    first, second = await service.create(new("k")), await service.create(new("k"))
    assert first.task.id == second.task.id and not first.replayed and second.replayed


async def test_the_same_key_with_another_body_is_refused(service: TaskService) -> None:
    await service.create(new("k"))
    with pytest.raises(IdempotencyConflict):
        await service.create(new("k", spec='{"other":1}'))


async def test_a_key_used_under_the_first_rule_still_answers(
    service: TaskService, repository: MemoryTaskRepository
) -> None:
    spec = '{"common":{"origin_instance":"here","config":{"a":1,"b":2}},"params":{"prompt":"x"}}'
    first = (await service.create(new("k", spec))).task
    text = '{"common":{"origin_instance":"here","config":{"b":2,"a":1}},"params":{"prompt":"x"}}'
    old = hashlib.sha256(f"GENERATION\ninference\n{text}".encode()).hexdigest()
    repository.stored[first.id] = replace(first, spec=text, fingerprint=old)  # as an earlier version left it
    again = await service.create(new("k", spec))
    assert again.replayed and again.task.id == first.id
    with pytest.raises(IdempotencyConflict):
        await service.create(new("k", spec.replace('"a":1', '"a":3')))


async def test_a_key_belongs_to_its_tenant(service: TaskService) -> None:
    first, second = await service.create(new("k")), await service.create(new("k", tenant="other"))
    assert first.task.id != second.task.id and not second.replayed


async def test_only_one_of_two_workers_gets_a_task(service: TaskService, repository: MemoryTaskRepository) -> None:
    task = (await service.create(new())).task
    await service.claim("w1", task, 1)
    with pytest.raises(IllegalTransition):
        await service.claim("w2", task, 1)
    assert repository.stored[task.id].worker == "w1"


async def test_a_claim_repeated_by_its_worker_is_granted_again_and_begins_nothing(service: TaskService) -> None:
    task = await started(service)
    assert await service.claim("w1", task, 1) == task
    with pytest.raises(IllegalTransition):
        await service.claim("w2", task, 1)


async def test_a_late_result_of_a_lost_attempt_changes_nothing(service: TaskService) -> None:
    task = await started(service)
    assert await service.finish(lease_expired(task.id, 1))
    again = await service.claim("w2", await service.get("acme", task.id), 2)
    assert not await service.finish(RunReport(task.id, 1, result='"late"'))
    assert await service.finish(RunReport(task.id, again.attempt, result='"right"'))
    assert (await service.get("acme", task.id)).result == '"right"'


async def test_the_same_report_twice_is_accepted_twice_and_counts_once(service: TaskService) -> None:
    task = await started(service)
    assert await service.finish(RunReport(task.id, 1, result='"a"'))
    assert await service.finish(RunReport(task.id, 1, result='"a"'))
    assert (await service.get("acme", task.id)).version == 3


async def test_what_may_pass_is_tried_again_until_the_attempts_are_used_up(service: TaskService) -> None:
    task = (await service.create(new())).task
    for attempt in (1, 2, 3):
        await service.claim("w1", await service.get("acme", task.id), attempt)
        await service.finish(RunReport(task.id, attempt, failure=PASSING))
    dead = await service.get("acme", task.id)
    assert (dead.state, dead.dead_letter, dead.attempt, dead.error_reason) == (TaskState.FAILED, True, 3, "TRITON_DOWN")
    assert len(dead.errors) == 3


async def test_the_callers_own_fault_is_never_tried_again(service: TaskService) -> None:
    task = await started(service)
    await service.finish(RunReport(task.id, 1, failure=FINAL))
    dead = await service.get("acme", task.id)
    assert (dead.state, dead.dead_letter, dead.error_category) == (TaskState.FAILED, False, "VALIDATION")


async def test_a_dead_letter_can_be_replayed(service: TaskService) -> None:
    task = await started(service)
    await service.finish(RunReport(task.id, 1, failure=FINAL))
    again = await service.replay("acme", task.id)
    assert (again.state, again.attempts_left, again.completed_at) == (TaskState.PENDING, 3, None)


@pytest.mark.parametrize("begun", [False, True])
async def test_cancel_is_immediate_before_the_end(service: TaskService, begun: bool) -> None:
    task = await started(service) if begun else (await service.create(new())).task
    assert (await service.cancel("acme", task.id)).state is TaskState.CANCELLED
    assert not await service.finish(RunReport(task.id, 1, result='"late"'))


async def test_a_terminal_task_cannot_be_cancelled(service: TaskService) -> None:
    task = await started(service)
    await service.finish(RunReport(task.id, 1, result="1"))
    with pytest.raises(IllegalTransition) as caught:
        await service.cancel("acme", task.id)
    assert caught.value.reason == "TASK_TERMINAL"


async def test_a_run_given_back_does_not_use_up_an_attempt(service: TaskService) -> None:
    task = await started(service)
    assert await service.finish(RunReport(task.id, 1))
    back = await service.get("acme", task.id)
    assert (back.state, back.attempt, back.attempts_left) == (TaskState.PENDING, 1, 3)


async def test_a_running_task_can_no_longer_be_changed(service: TaskService) -> None:
    task = await started(service)
    with pytest.raises(IllegalTransition) as caught:
        await service.amend("acme", task.id, None, lambda task: ("{}", 5))
    assert caught.value.reason == "TASK_NOT_PENDING"


async def test_a_claim_that_overtook_its_own_first_asking_is_granted(service: TaskService) -> None:
    task = (await service.create(new())).task
    claimed = await service.claim("w1", task, 1)
    assert await service.claim("w1", task, 1) == claimed  # from what a cache showed before the first was written


async def test_a_claim_of_a_task_nobody_knows_says_so(service: TaskService) -> None:
    with pytest.raises(NotFound):
        await service.claim("w1", None, 1)


async def test_a_list_shows_what_the_store_finds(service: TaskService) -> None:
    tasks = [(await service.create(new())).task for _ in range(2)]
    found = await service.find(TaskQuery("acme"), ListWindow(10))
    assert {task.id for task in found.items} == {task.id for task in tasks}


async def test_a_cache_that_is_behind_refuses_nothing_that_the_store_allows() -> None:
    behind = Behind()
    service = TaskService(behind, SteadyClock(), RetryPolicy(attempts=1, first=0.0))
    task = await started(service)
    behind.shown[task.id] = task
    await service.finish(RunReport(task.id, 1, failure=FINAL))
    assert (await service.replay("acme", task.id)).state is TaskState.PENDING


class Behind(MemoryTaskRepository):
    """What it shows of its cache was true once."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: dict[str, Task] = {}

    async def get(self, task_id: str) -> Task:
        return self.shown.get(task_id) or await super().get(task_id)


async def test_an_end_that_is_always_overtaken_is_not_said_to_be_written(
    service: TaskService, repository: MemoryTaskRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = await started(service)

    async def overtaken(_: Task) -> bool:
        return False

    monkeypatch.setattr(repository, "save", overtaken)
    assert not await service.finish(RunReport(task.id, 1, result="{}"))
    with pytest.raises(Overloaded) as refused:
        await service.cancel("acme", task.id)
    assert refused.value.reason == "CONTENTION"


async def test_of_ends_that_fail_together_each_is_somebodys_business(
    service: TaskService, repository: MemoryTaskRepository
) -> None:
    tasks = [await started(service) for _ in range(3)]
    unheard = list[dict[str, Any]]()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: unheard.append(context))

    def failing(_: Task) -> asyncio.Future[bool]:
        future: asyncio.Future[bool] = loop.create_future()
        future.set_exception(Unavailable("the store is away"))
        return future

    with pytest.MonkeyPatch.context() as away:
        away.setattr(repository, "save", failing)
        with pytest.raises(Unavailable):
            await service.finish_all([RunReport(task.id, 1, result="{}") for task in tasks])
    gc.collect()
    assert not unheard


def test_the_delay_doubles_from_try_to_try() -> None:
    for attempt, seconds in ((1, 1.0), (2, 2.0), (3, 4.0), (6, 32.0), (7, 60.0)):
        delays = [RetryPolicy(first=1.0, longest=60.0).backoff(attempt) / SECOND for _ in range(20)]
        assert seconds <= min(delays) < max(delays) <= seconds * 1.25


def test_the_delay_stops_growing_however_often_a_task_is_replayed() -> None:
    assert RetryPolicy().backoff(5_000) <= 60 * 1.25 * 1_000_000


class Granting:
    """Has a place for one worker's tasks."""

    def __init__(self) -> None:
        self.places: list[str] = []
        self.granted: list[str] = []

    def reserve_worker(self, task: Task) -> str | None:
        if task.id in self.places:
            return None
        self.places.append(task.id)
        self.granted.append(task.id)
        return "w1"

    def cancel_reservation(self, task_id: str) -> None:
        if task_id in self.places:
            self.places.remove(task_id)


class Granted:
    """A service whose tasks begin as they are created."""

    def __init__(self) -> None:
        self.grants = Granting()
        self.repository = MemoryTaskRepository(lambda task: self.grants.cancel_reservation(task.id))
        self.service = TaskService(self.repository, SteadyClock(), RetryPolicy(), reservations=self.grants)


async def test_a_granted_task_is_stored_as_begun_and_answered_as_created() -> None:
    desk = Granted()
    created = await desk.service.create(new())
    assert (created.task.state, created.task.version, created.task.worker) == (TaskState.PENDING, 1, None)
    stored = desk.repository.stored[created.task.id]
    assert (stored.state, stored.version, stored.attempt, stored.worker) == (TaskState.EXECUTING, 2, 1, "w1")
    assert [(item.version, item.verb) for item in stored.outbox] == [(1, Verb.CREATED), (2, Verb.EXECUTING)]
    assert desk.grants.places == []


async def test_a_worker_asks_for_what_it_was_given_as_often_as_it_likes() -> None:
    desk = Granted()
    task_id = (await desk.service.create(new())).task.id
    stored = desk.repository.stored[task_id]
    for _ in range(2):
        assert await desk.service.claim("w1", stored, 1) == stored
    with pytest.raises(IllegalTransition):
        await desk.service.claim("w2", stored, 1)
    await desk.service.cancel("acme", task_id)
    with pytest.raises(IllegalTransition):
        await desk.service.claim("w1", stored, 1)  # what a cache still says


async def test_a_repeated_key_keeps_no_place() -> None:
    desk = Granted()
    created = [await desk.service.create(new("k")) for _ in range(100)]
    assert len({one.task.id for one in created}) == 1 and [one.replayed for one in created] == [False] + [True] * 99
    with pytest.raises(IdempotencyConflict):
        await desk.service.create(new("k", spec='{"other":1}'))
    assert desk.grants.places == [] and len(desk.grants.granted) == 101


async def test_a_task_the_store_refuses_keeps_no_place() -> None:
    desk = Granted()

    async def refuse(_: Task) -> InsertResult[Task]:
        raise Unavailable("the store refused the task", reason="STORE_REFUSED")

    desk.repository.add = refuse  # type: ignore[method-assign, assignment]  # a store that is full
    with pytest.raises(Unavailable):
        await desk.service.create(new())
    assert desk.grants.granted and desk.grants.places == []


async def test_a_task_for_which_there_is_no_room_keeps_no_place_and_is_refused_at_once() -> None:
    desk = Granted()

    def full(_: object) -> Any:
        raise Overloaded("too many are created at once")

    desk.repository.add = full  # type: ignore[method-assign, assignment]
    desk.repository.check_room = full  # type: ignore[method-assign, assignment]
    with pytest.raises(Overloaded):
        desk.service.begin(new())
    with pytest.raises(Overloaded):
        desk.service.check_room("acme")
    assert desk.grants.granted and desk.grants.places == []


async def test_a_granted_task_lost_with_its_worker_is_tried_again() -> None:
    desk = Granted()
    task_id = (await desk.service.create(new())).task.id
    assert await desk.service.finish_all([lease_expired(task_id, 1)]) == [True]
    again = desk.repository.stored[task_id]
    assert (again.state, again.attempts_left) == (TaskState.PENDING, 2)


async def test_a_granted_task_nobody_heard_of_is_given_back_and_loses_no_attempt() -> None:
    desk = Granted()
    task_id = (await desk.service.create(new())).task.id
    assert await desk.service.finish(RunReport(task_id, 1))
    stored = desk.repository.stored[task_id]
    assert (stored.state, stored.attempts_left, stored.errors) == (TaskState.PENDING, 3, ())


def ran(*steps: tuple[str, int]) -> Task:
    """A task after what happened to it, each at its time in seconds."""
    task = Task("t", "acme", "GENERATION", "q", "{}", 0, created_at=0, updated_at=0, max_attempts=9).created()
    call = ProviderCallRecord("FAL", 1, "r", "SUCCEEDED", 1.0, cost=0.1)
    for what, at in steps:
        now = at * SECOND
        match what:
            case "start":
                task = task.claimed("w", now)
            case "done":
                task = task.completed("{}", (replace(call, attempt=task.attempt),), now)
            case "fail" | "fail for good":
                failure = PASSING if what == "fail" else FINAL
                task = task.failed(failure, (replace(call, attempt=task.attempt),), now, backoff=0)
            case "return":
                task = task.returned((), now)
            case "cancel":
                task = task.cancelled(now)
            case "replay":
                task = task.replayed(now, 3)
            case "amend":
                task = task.amended(now, spec="{}", priority=1)
            case "clean":
                task = task.cleaned(now)
    return task


@pytest.mark.parametrize(
    ("steps", "seconds"),
    [
        ([], 0),
        ([("cancel", 5)], 0),
        ([("start", 3)], 0),
        ([("start", 3), ("done", 10)], 7),
        ([("start", 3), ("fail for good", 10)], 7),
        ([("start", 3), ("cancel", 10)], 7),
        ([("start", 3), ("fail", 10)], 7),
        ([("start", 3), ("fail", 10), ("amend", 15), ("cancel", 20)], 7),
        ([("start", 3), ("fail", 10), ("start", 20)], 7),
        ([("start", 3), ("fail", 10), ("start", 20), ("done", 21)], 8),
        ([("start", 3), ("return", 5), ("start", 20), ("fail", 21), ("start", 30), ("cancel", 34)], 7),
        ([("start", 3), ("fail for good", 10), ("replay", 50), ("start", 60), ("done", 62), ("clean", 90)], 9),
    ],
)
def test_the_time_of_all_runs_is_kept_and_pauses_are_none_of_it(steps: list[tuple[str, int]], seconds: int) -> None:
    task = ran(*steps)
    assert task.time_run == seconds * SECOND
    assert CODEC.decode(to_document(task)).time_run == seconds * SECOND


def test_a_task_that_goes_well_at_once_stores_nothing_more_for_it() -> None:
    assert "run_time" not in to_document(ran(("start", 3), ("done", 10)))


def test_cost_is_that_of_every_attempt() -> None:
    assert ran(("start", 3), ("cancel", 4)).cost is None
    thrice = ran(("start", 1), ("fail", 2), ("start", 3), ("fail", 4), ("start", 5), ("done", 6))
    assert thrice.cost == pytest.approx(0.3)
    lives = [("start", 1), ("fail for good", 2), ("replay", 3), ("start", 4), ("done", 5)]
    assert ran(*lives).cost == pytest.approx(0.2)
