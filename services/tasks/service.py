"""Use cases of the tasks service. No transport, no storage, no broker."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.common.errors import (
    ComputeError,
    IllegalTransition,
    NotFound,
    Overloaded,
    UnknownQueue,
)
from services.common.paging import ListPage, ListWindow
from services.durable.aggregates import InsertResult
from services.durable.batch_writer import abandon
from services.tasks.creation import CreateResult, NewTask, PendingCreate, check_joined, task_of
from services.tasks.domain import SECOND, Failure, Task, TaskState
from services.tasks.ports import (
    CompletionHook,
    QueueDirectory,
    TaskClock,
    TaskQuery,
    TaskRepository,
    WorkerReservations,
)
from services.tasks.provider_calls import ProviderCallRecord

_CONTENTION_LIMIT = 8
# A task that is replayed often has many attempts: more doublings than a float can hold.
_DOUBLINGS = 60


@dataclass(frozen=True, slots=True)
class RunReport:
    """How a run ended, as its worker reports it: a result, a failure, or neither if it is given back."""

    task_id: str
    attempt: int
    result: str | None = None
    failure: Failure | None = None
    calls: tuple[ProviderCallRecord, ...] = ()


def lease_expired(task_id: str, attempt: int) -> RunReport:
    """Its next attempt, or its failure, begins."""
    message = f"attempt {attempt} was lost: its worker went silent"
    return RunReport(task_id, attempt, failure=Failure("LEASE_EXPIRED", message, "INTERNAL", retryable=True))


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Seconds; the delay doubles from `first` to `longest`, with up to a quarter of jitter."""

    attempts: int = 3
    first: float = 1.0
    longest: float = 60.0

    def backoff(self, attempt: int) -> int:
        """Microseconds to wait after `attempt` failed."""
        delay = min(self.first * 2.0 ** min(attempt - 1, _DOUBLINGS), self.longest)
        return int(delay * random.uniform(1.0, 1.25) * SECOND)


class TaskService:
    def __init__(
        self,
        tasks: TaskRepository,
        clock: TaskClock,
        retry: RetryPolicy,
        *,
        reservations: WorkerReservations | None = None,
        completion_hook: CompletionHook | None = None,
        queues: QueueDirectory | None = None,
    ) -> None:
        """Without `reservations` every task waits to be claimed; without `completion_hook` calls left open stay so;
        without `queues` every name is one.
        """
        self._tasks = tasks
        self._reservations = reservations
        self._completion_hook = completion_hook
        self._queues = queues
        self._clock = clock
        self._retry = retry

    def check_room(self, tenant: str) -> None:
        """Raises Overloaded where `begin` would."""
        self._tasks.check_room(tenant)

    async def create(self, new: NewTask) -> CreateResult:
        """`begin` and `created`."""
        return await self.created(self.begin(new))

    def begin(self, new: NewTask) -> PendingCreate:
        """The first half, for groups: those that begin in one turn of the event loop are written together.

        Raises Overloaded, and UnknownQueue.
        """
        task = task_of(new, self._clock(), self._retry.attempts)
        try:
            self._check_queue(task)
        except UnknownQueue as refusal:
            if not new.idempotency_key and new.parent is None:
                raise
            return PendingCreate(task, kept=False, written=asyncio.ensure_future(self._made_before(task, refusal)))
        worker = self._reservations.reserve_worker(task) if self._reservations else None
        try:
            written = self._tasks.add(task if worker is None else task.claimed(worker, self._clock()))
        except Overloaded:
            self._cancel_reservation(task, kept=worker is not None)
            raise
        return PendingCreate(task, worker is not None, written)

    async def created(self, creation: PendingCreate) -> CreateResult:
        """The task as it was created, though a worker may have been given it in the same write.

        Raises IdempotencyConflict when the key was used with another body, or its task was deleted; NotFound when the
        parent's task was deleted; UnknownQueue.
        """
        task, kept, written = creation
        try:
            added = await written
        except ComputeError:
            self._cancel_reservation(task, kept=kept)  # should it stand after all, its worker is reminded
            raise
        self._cancel_reservation(task, kept=added.existing and kept)
        if not added.existing:
            return CreateResult(task, replayed=False)
        check_joined(added.stored, task)
        return CreateResult(added.stored, replayed=True)

    def _check_queue(self, task: Task) -> None:
        """Raises UnknownQueue: nobody would ever take it."""
        if self._queues is not None:
            self._queues.check_queue(task.queue)

    async def _made_before(self, task: Task, refusal: UnknownQueue) -> InsertResult[Task]:
        """What its key or its parent made while the queue was still served."""
        try:
            return InsertResult(await self._tasks.get_fresh(task.id), existing=True)
        except NotFound:
            raise refusal from None

    def _cancel_reservation(self, task: Task, *, kept: bool) -> None:
        if kept and self._reservations:
            self._reservations.cancel_reservation(task.id)

    async def get(self, tenant: str, task_id: str, task_type: str | None = None) -> Task:
        """Raises NotFound, also for another tenant's task and for one of another type."""
        return visible(await self._tasks.get_fresh(task_id), tenant, task_type)

    async def find(self, wanted: TaskQuery, window: ListWindow) -> ListPage[Task]:
        return await self._tasks.find(wanted, window)

    async def cancel(self, tenant: str, task_id: str, task_type: str | None = None) -> Task:
        """Raises IllegalTransition for a terminal task."""
        visible(await self._tasks.get(task_id), tenant, task_type)
        return await self.change(task_id, lambda task: task.cancelled(self._clock()))

    async def replay(self, tenant: str, task_id: str) -> Task:
        """Raises IllegalTransition unless it FAILED, UnknownQueue where nobody would take it."""
        visible(await self._tasks.get(task_id), tenant, None)

        def replayed(task: Task) -> Task:
            again = task.replayed(self._clock(), self._retry.attempts)
            self._check_queue(again)
            return again

        return await self.change(task_id, replayed)

    async def amend(
        self, tenant: str, task_id: str, task_type: str | None, edit: Callable[[Task], tuple[str, int]]
    ) -> Task:
        """`edit` answers the new spec and priority. Raises IllegalTransition once the task runs."""
        visible(await self._tasks.get(task_id), tenant, task_type)

        def amended(task: Task) -> Task:
            spec, priority = edit(task)
            return task.amended(self._clock(), spec=spec, priority=priority)

        return await self.change(task_id, amended)

    async def claim(self, worker: str, task: Task | None, attempt: int) -> Task:
        """Begins an attempt of `task` for `worker`; 0 means whichever comes next.

        Raises:
            NotFound: there is no such task.
            IllegalTransition: somebody was faster, or it is over.
        """
        if task is None:
            raise NotFound("the task does not exist", reason="TASK_NOT_FOUND")
        if task.runs(worker, attempt):
            # The same claim again after an answer that was lost, or a reminder: a cache may not know how it went on.
            task = await self._tasks.get_fresh(task.id)
            if task.runs(worker, attempt):
                return task
        if attempt and task.attempt + 1 != attempt:
            raise IllegalTransition(f"task {task.id} is past attempt {attempt}", reason="ATTEMPT_PAST")
        claimed = task.claimed(worker, self._clock())
        if not await self._tasks.save(claimed):
            fresh = await self._tasks.get_fresh(task.id)
            if attempt and fresh.runs(worker, attempt):
                return fresh  # its first asking was still being written
            raise IllegalTransition(f"task {task.id} was claimed by another", reason="CLAIM_LOST")
        return claimed

    async def finish_all(self, endings: Sequence[RunReport]) -> list[bool]:
        """`finish` of each, written together; what no cache knows is read together. Raises what any of them raises."""
        found = {ending.task_id: self._tasks.known(ending.task_id) for ending in endings}
        unknown = [ending.task_id for ending in endings if not _is_of(found[ending.task_id], ending)]
        if unknown:
            found |= dict.fromkeys(unknown) | await self._tasks.get_many(unknown, fresh=True)
        begun = [self._begin_finish(ending, found[ending.task_id]) for ending in endings]
        try:
            return [await self._finished(*each) for each in zip(endings, begun, strict=True)]
        finally:
            abandon(one for one in begun if isinstance(one, asyncio.Future))

    async def _finished(self, ending: RunReport, begun: asyncio.Future[bool] | bool | None) -> bool:
        if isinstance(begun, bool):
            return begun
        return (begun is not None and await begun) or await self.finish(ending)

    def _begin_finish(self, ending: RunReport, task: Task | None) -> asyncio.Future[bool] | bool | None:
        """What became of it where that is known already; None where more must be done than to write."""
        if task is None or not _is_of(task, ending):
            return False
        if task.state is TaskState.COMPLETED:
            return ending.result is not None  # the same report again, after an answer that was lost
        ended = self._ended(task, ending)
        return None if ended.orphaned_calls else self._tasks.save(ended)

    async def finish(self, ending: RunReport) -> bool:
        """Ends a run. False, and nothing changes, where the attempt is no longer the task's."""
        for _ in range(_CONTENTION_LIMIT):
            task = await self._running(ending)
            if task is None:
                return False
            if task.state is TaskState.COMPLETED:
                return ending.result is not None  # the same report again, after an answer that was lost
            if await self._save(self._ended(task, ending)):
                return True
        return False

    async def record(self, task_id: str, worker: str, attempt: int, call: ProviderCallRecord) -> bool:
        """Keeps what is known of a call to a provider. False where that attempt is no longer the task's.

        Raises:
            IllegalTransition: ATTEMPT_LOST for the first word of a call of such an attempt: nothing may be sent.
            NotFound: the task is gone.
        """

        def recorded(task: Task) -> Task:
            with_call = task.recorded(call, self._clock())
            known = any(one.id == call.id for one in task.service_calls)
            if not known and not task.runs(worker, attempt):
                raise IllegalTransition(f"attempt {attempt} of task {task_id} is lost", reason="ATTEMPT_LOST")
            return with_call

        return (await self.change(task_id, recorded)).runs(worker, attempt)

    async def _running(self, ending: RunReport) -> Task | None:
        """The task while `ending.attempt` is its own and not failed; a cache is believed only when it agrees."""
        for get in (self._tasks.get, self._tasks.get_fresh):
            try:
                task = await get(ending.task_id)
            except NotFound:
                return None
            if _is_of(task, ending):
                return task
        return None

    def _ended(self, task: Task, ending: RunReport) -> Task:
        now = self._clock()
        if ending.result is not None:
            return task.completed(ending.result, ending.calls, now)
        if ending.failure is not None:
            backoff = self._retry.backoff(task.attempt)
            return task.failed(ending.failure, ending.calls, now, backoff=backoff)
        return task.returned(ending.calls, now)

    async def change(self, task_id: str, change: Callable[[Task], Task]) -> Task:
        """The task after `change`, tried again while others write; a change that answers its task writes nothing."""
        task = await self._tasks.get(task_id)
        for _ in range(_CONTENTION_LIMIT):
            try:
                changed = change(task)
            except IllegalTransition:
                # What a cache shows may be old: only the stored task refuses.
                fresh = await self._tasks.get_fresh(task_id)
                if fresh.version == task.version:
                    raise
                task = fresh
                continue
            if changed is task or await self._save(changed):
                return changed
            task = await self._tasks.get_fresh(task_id)
        raise Overloaded(f"task {task_id} changes too fast", reason="CONTENTION", retry_after=0.1)

    async def _save(self, task: Task) -> bool:
        """What it leaves open at vendors is noted first: no crash hides it then."""
        if self._completion_hook is not None and task.orphaned_calls:
            await self._completion_hook.note(task)
        return await self._tasks.save(task)


def _is_of(task: Task | None, ending: RunReport) -> bool:
    """Whether the attempt is the task's own and not failed."""
    states = (TaskState.EXECUTING, TaskState.COMPLETED)
    return task is not None and task.attempt == ending.attempt and task.state in states


def visible(task: Task, tenant: str, task_type: str | None) -> Task:
    """Raises NotFound where this caller may not know of it."""
    hidden = task.erased or task.placeholder or task.tenant != tenant
    if hidden or (task_type is not None and task.task_type != task_type):
        raise NotFound(f"task {task.id} does not exist", reason="TASK_NOT_FOUND")
    return task
