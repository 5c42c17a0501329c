"""What a task keeps of its calls to providers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.common.errors import IllegalTransition
from services.tasks.clock import SteadyClock
from services.tasks.creation import NewTask
from services.tasks.domain import SECOND, Failure, Task, TaskState
from services.tasks.messages import Messages, provider_call
from services.tasks.provider_calls import CallOutcome, ProviderCallRecord, kept
from services.tasks.repository import CODEC, to_document
from services.tasks.service import RetryPolicy, RunReport, TaskService, lease_expired
from tests.fakes.task_repository import MemoryTaskRepository

INTENDED = ProviderCallRecord(
    "FAL",
    1,
    "",
    CallOutcome.INTENDED,
    0.0,
    id="token-1",
    sequence=2,
    started_at=5,
    fallback=True,
    job_details='{"app":"x"}',
)
SUBMITTED = replace(INTENDED, outcome=CallOutcome.SUBMITTED, request_id="req-1")
LOCAL = ProviderCallRecord("LOCAL", 1, "", CallOutcome.SUCCEEDED, 0.25)


@pytest.fixture
def service() -> TaskService:
    return TaskService(MemoryTaskRepository(), SteadyClock(), RetryPolicy(attempts=3, first=0.0))


async def started(service: TaskService) -> Task:
    task = (await service.create(NewTask("acme", "GENERATION", "inference", "{}", 0, "test"))).task
    return await service.claim("w1", task, 1)


@pytest.mark.parametrize("late", [INTENDED, SUBMITTED])
@pytest.mark.parametrize(
    "known", [CallOutcome.SUCCEEDED, CallOutcome.FAILED, CallOutcome.CANCELLED, CallOutcome.UNKNOWN]
)
def test_a_late_word_never_leads_back_from_an_outcome(late: ProviderCallRecord, known: CallOutcome) -> None:
    [call] = kept((replace(INTENDED, outcome=known),), [late])
    assert call.outcome == known
    assert call.request_id == late.request_id


def test_what_was_unknown_may_turn_out_to_be_something() -> None:
    unknown = replace(SUBMITTED, outcome=CallOutcome.UNKNOWN, before_replay=True)
    [call] = kept((unknown,), [replace(SUBMITTED, outcome=CallOutcome.SUCCEEDED, cost=0.1, attempt=4)])
    assert (call.outcome, call.cost, call.attempt, call.before_replay) == (CallOutcome.SUCCEEDED, 0.1, 1, True)


def test_calls_without_an_id_are_added_each_time() -> None:
    assert kept((LOCAL,), [LOCAL, SUBMITTED]) == (LOCAL, LOCAL, SUBMITTED)


async def test_a_call_is_kept_before_the_run_ends(service: TaskService) -> None:
    task = await started(service)
    assert await service.record(task.id, "w1", 1, INTENDED)
    assert await service.record(task.id, "w1", 1, SUBMITTED)
    running = await service.get("acme", task.id)
    assert running.service_calls == (SUBMITTED,)
    assert running.state is TaskState.EXECUTING
    assert len(running.outbox) == 2  # no event of its own
    await service.finish(RunReport(task.id, 1, result="{}", calls=(replace(SUBMITTED, outcome=CallOutcome.SUCCEEDED),)))
    assert [call.outcome for call in (await service.get("acme", task.id)).service_calls] == [CallOutcome.SUCCEEDED]


async def test_the_same_word_twice_is_written_once(service: TaskService) -> None:
    task = await started(service)
    await service.record(task.id, "w1", 1, INTENDED)
    before = await service.get("acme", task.id)
    assert await service.record(task.id, "w1", 1, INTENDED)
    assert (await service.get("acme", task.id)).version == before.version


@pytest.mark.parametrize(("worker", "attempt"), [("w2", 1), ("w1", 2), ("w1", 0)])
async def test_a_lost_attempt_may_begin_no_call(service: TaskService, worker: str, attempt: int) -> None:
    task = await started(service)
    with pytest.raises(IllegalTransition) as refused:
        await service.record(task.id, worker, attempt, INTENDED)
    assert refused.value.reason == "ATTEMPT_LOST"
    assert (await service.get("acme", task.id)).service_calls == ()


async def test_what_a_lost_attempt_learns_of_its_call_is_kept_for_the_next(service: TaskService) -> None:
    task = await started(service)
    await service.record(task.id, "w1", 1, INTENDED)
    await service.finish(lease_expired(task.id, 1))
    assert not await service.record(task.id, "w1", 1, SUBMITTED)
    claimed = await service.claim("w2", await service.get("acme", task.id), 2)
    assert claimed.service_calls == (SUBMITTED,)


async def test_what_becomes_of_a_cancelled_tasks_call_is_kept(service: TaskService) -> None:
    task = await started(service)
    await service.record(task.id, "w1", 1, SUBMITTED)
    await service.cancel("acme", task.id)
    assert not await service.record(task.id, "w1", 1, replace(SUBMITTED, outcome=CallOutcome.CANCELLED))
    cancelled = await service.get("acme", task.id)
    assert (cancelled.state, cancelled.service_calls[0].outcome) == (TaskState.CANCELLED, CallOutcome.CANCELLED)


async def test_a_run_that_is_given_back_leaves_its_calls(service: TaskService) -> None:
    task = await started(service)
    await service.finish(RunReport(task.id, 1, calls=(SUBMITTED,)))
    assert (await service.get("acme", task.id)).service_calls == (SUBMITTED,)


async def test_a_replay_counts_earlier_calls_as_past(service: TaskService) -> None:
    task = await started(service)
    failure = Failure("NO", "no", "PROVIDER", retryable=False)
    await service.finish(RunReport(task.id, 1, failure=failure, calls=(SUBMITTED,)))
    assert (await service.replay("acme", task.id)).service_calls == (replace(SUBMITTED, before_replay=True),)


async def test_a_failure_whose_tries_are_used_up_waits_for_somebody_to_look(service: TaskService) -> None:
    task = await started(service)
    failure = Failure("DOWN", "down", "PROVIDER", retryable=True, exhausted=True)
    await service.finish(RunReport(task.id, 1, failure=failure))
    ended = await service.get("acme", task.id)
    assert (ended.state, ended.dead_letter) == (TaskState.FAILED, True)


async def test_a_provider_may_say_when_to_try_again(service: TaskService) -> None:
    task = await started(service)
    failure = Failure("RATE_LIMITED", "later", "RATE_LIMIT", retryable=True, retry_after=90 * SECOND)
    await service.finish(RunReport(task.id, 1, failure=failure))
    waiting = await service.get("acme", task.id)
    assert waiting.not_before >= waiting.updated_at + 90 * SECOND


def test_calls_survive_the_store_and_the_wire() -> None:
    task = Task("id", "acme", "GENERATION", "inference", "{}", 0, 1, 1, service_calls=(LOCAL, SUBMITTED))
    stored = CODEC.decode(to_document(task) | {"_id": "id"})
    assert stored.service_calls == task.service_calls
    assert "token" not in to_document(replace(task, service_calls=(LOCAL,)))["service_calls"]
    assert tuple(Messages().service_call(provider_call(call)) for call in task.service_calls) == task.service_calls


def test_a_word_that_says_nothing_of_the_job_forgets_nothing() -> None:
    known = replace(SUBMITTED, job_details='{"app":"x"}', request_id="req-1", cost=0.5, started_at=5)
    said = replace(SUBMITTED, outcome=CallOutcome.SUCCEEDED, job_details="", request_id="", cost=None, started_at=None)
    after = known.followed_by(said)
    assert (after.outcome, after.job_details, after.request_id) == (CallOutcome.SUCCEEDED, '{"app":"x"}', "req-1")
    assert (after.cost, after.started_at) == (0.5, 5)
    assert known.followed_by(replace(said, job_details='{"app":"y"}')).job_details == '{"app":"y"}'
