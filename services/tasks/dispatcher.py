"""Assigns tasks to workers, as many as they have room for, and ends runs whose worker went silent.

A task is assigned by the write that begins it: the one that creates it where nothing waits and a worker has room, else
one of its own, for which the scheduler took it from those that wait. Then its worker is told, on the bus. A reminder
and the lease repair what got lost.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from services.common.errors import ComputeError, Unavailable
from services.durable.leases import Lease, LeaseTable
from services.tasks.domain import Task, TaskState
from services.tasks.fair_scheduler import FairScheduler
from services.tasks.ports import Assignment, AttemptWriter, TaskClock, WorkerOrders
from services.tasks.queues import KnownQueues
from services.tasks.scheduler import FreeWorker, QueuedTask, Scheduler
from services.tasks.unconfirmed_runs import UnconfirmedRuns
from services.tasks.worker_registry import (
    NO_FACTS,
    NOTHING_UNWELL,
    RegisteredFacts,
    RegisteredModel,
    RegisteredWorker,
    WorkerRegistry,
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DispatchTiming:
    """Seconds. `lease`: silence after which a run is lost; `claim`: after which a worker is reminded of one."""

    lease: float = 10.0
    claim: float = 5.0
    sweep: float = 0.5


class Dispatcher:
    """Knows what waits, what is on its way and what runs. Every replica does; only the leader acts on it."""

    def __init__(
        self,
        orders: WorkerOrders,
        attempts: AttemptWriter,
        clock: TaskClock,
        leads: Callable[[], bool],
        timing: DispatchTiming,
        queues: KnownQueues | None = None,
        scheduler: Scheduler | None = None,
    ) -> None:
        self._orders = orders
        self._attempts = attempts
        self._clock = clock
        self._leads = leads
        self._timing = timing
        self._queues = queues or KnownQueues()
        self._scheduler = scheduler or FairScheduler()
        self._leases = LeaseTable(timing.lease, timing.claim)
        self._registry = WorkerRegistry(timing.lease)
        self._assignments: dict[str, list[Task]] = defaultdict(list)
        self._unconfirmed = UnconfirmedRuns(self._leases, self._registry, orders, attempts)
        self._complete = False
        self._readings: list[set[str]] = []
        self._wake = asyncio.Event()

    def check_queue(self, queue: str) -> None:
        """Raises UnknownQueue where no setting names it, no worker served it lately, and none of its tasks is there."""
        if queue not in self._queues and not self._scheduler.depth().get(queue) and not self._leases.running(queue):
            raise self._queues.refusal()

    def reserve_worker(self, task: Task) -> str | None:
        """The worker that a task about to be created may be begun for; its place is kept until that is noticed."""
        if not (self._complete and self._assigns()):
            return None
        now = time.monotonic()
        chosen = self._scheduler.place(task.queue, self._free(now), self._clock())
        until = now + self._timing.claim
        kept = chosen and self._leases.reserve(task.id, task.attempt + 1, task.queue, chosen, until=until)
        return chosen if kept else None

    def cancel_reservation(self, task_id: str) -> None:
        """The place that was kept for it is free again."""
        lease = self._leases.get(task_id)
        if lease is not None and not lease.written:
            self._leases.drop(task_id)
            self._wake.set()

    def noticed(self, task: Task) -> None:
        """A durable write, of this replica or another; what was overtaken on its way changes nothing."""
        lease = self._leases.get(task.id)
        if lease is not None and task.version < lease.version:
            return
        for changed in self._readings:
            changed.add(task.id)
        if task.state is TaskState.EXECUTING:
            self._scheduler.remove(task.id, task.queue)
            kept = lease is not None and not lease.written and lease.holder == task.worker
            # What another replica wrote comes without what its worker needs; that one is reminded.
            if self._begin_lease(task) and task.spec and (kept or self._registry.inbox(task.worker)):
                self._assignments[task.worker or ""].append(task)
        else:
            if self._leases.drop(task.id) is not None:
                self._learn(task)
            if task.state is TaskState.PENDING:
                self._scheduler.add(self._queued(task), self._clock())
            else:
                self._scheduler.remove(task.id, task.queue)
        self._wake.set()

    def gone(self, task_id: str) -> None:
        """No such task."""
        self._leases.drop(task_id)
        for queue in self._scheduler.depth():
            self._scheduler.remove(task_id, queue)
        self._wake.set()

    def heard(
        self,
        worker_id: str,
        queues: Sequence[str],
        capacity: int,
        *,
        running: int = 0,
        draining: bool = False,
        inbox: str = "",
        unwell: Mapping[str, str] = NOTHING_UNWELL,
        models: tuple[RegisteredModel, ...] = (),
        facts: RegisteredFacts = NO_FACTS,
    ) -> None:
        """A worker is alive and has this many slots; while it drains, no more than it still runs. `unwell` are the
        models that do not answer it, with the reason where one cannot be used, `models` those that do; `facts` only
        describe it.
        """
        if draining:
            capacity, inbox = min(capacity, running), ""
        for queue in queues:
            self._queues.serve(queue, time.monotonic())
        if self._registry.heard(worker_id, queues, capacity, inbox, unwell, models, facts):
            self._wake.set()

    def workers(self) -> dict[str, tuple[RegisteredWorker, int]]:
        """Those that were heard of lately, each with how many tasks it has."""
        return {name: (worker, self._leases.held(name)) for name, worker in self._registry.workers().items()}

    def models(self) -> list[RegisteredModel]:
        """Those that answer one worker or another."""
        return self._registry.models

    async def check_workers(self) -> None:
        """Raises Unavailable: WORKERS_AWAY where none is heard of."""
        if not self._registry.present:
            raise Unavailable("no worker is there; tasks wait for one", reason="WORKERS_AWAY")

    async def check_models(self) -> None:
        """Raises Unavailable: MODELS_AWAY, with their names, where some do not answer a worker."""
        if unwell := self._registry.unwell:
            told = (f"{name} ({why})" if why else name for name, why in unwell.items())
            raise Unavailable(f"models that do not answer: {', '.join(told)}", reason="MODELS_AWAY")

    def serves_elsewhere(self, worker_id: str) -> bool:
        """Whether another worker takes the same tasks, and has all of its models."""
        return self._registry.has_well(self._registry.queues_of(worker_id), but=worker_id)

    def undelivered(self, inbox: str, attempts: Iterable[tuple[str, int]]) -> None:
        """These were handed over where nobody listens."""
        self._registry.mark_unreachable(inbox)
        self._unconfirmed.undelivered(attempts)

    def confirm(self, task_id: str, attempt: int, progress: float) -> bool:
        """A worker says it runs this. False if that is known to be wrong: the attempt is over or another's."""
        return self._leases.renew(task_id, attempt, progress)

    def reported(self, worker_id: str, runs: Iterable[tuple[str, int]]) -> None:
        """Their worker says that these are over, which is about to be written: the slots are free already."""
        self._registry.alive(worker_id)
        for task_id, attempt in runs:
            self._leases.vacate(task_id, attempt)
        self._wake.set()

    def progress(self, task_id: str) -> float:
        lease = self._leases.get(task_id)
        return lease.progress if lease else 0.0

    def depth(self) -> dict[str, int]:
        """Waiting tasks of each queue."""
        return self._scheduler.depth()

    def running(self) -> dict[str, int]:
        """Running tasks of each queue."""
        return self._leases.by_group

    def reserved(self) -> dict[str, int]:
        """Tasks of each queue that were given to a worker which has not said yet that it runs them."""
        return self._leases.unconfirmed_by_group()

    @property
    def queues(self) -> list[str]:
        """All that tasks may be created in, and those in which some are."""
        return sorted({*self._queues, *self._scheduler.depth(), *self._leases.by_group})

    def slots(self) -> dict[str, list[int]]:
        """What each worker of a queue can run at the same time, by queue."""
        return self._registry.slots()

    @property
    def models_away(self) -> int:
        return len(self._registry.unwell)

    async def load(self, reading: AsyncIterable[Sequence[Task]]) -> int:
        """What the store holds that is not over; runs get a fresh lease, since no heartbeat has been missed here yet.

        Whatever changes while it is read is known better already. Answers how many there were.
        """
        changed: set[str] = set()
        count = 0
        self._readings.append(changed)
        try:
            async for tasks in reading:
                count += len(tasks)
                for task in tasks:
                    if task.id not in changed:
                        self._found(task)
        finally:
            self._readings = [other for other in self._readings if other is not changed]
        self._wake.set()
        return count

    def _found(self, task: Task) -> None:
        lease = self._leases.get(task.id)
        if lease is not None and not lease.written:
            return  # what is being written tells of itself
        if task.state is TaskState.EXECUTING:
            self._begin_lease(task)
        elif task.state is TaskState.PENDING and not self._scheduler.waits(task.id, task.queue):
            self._scheduler.add(self._queued(task), self._clock())

    def complete(self, *, whole: bool = True) -> None:
        """Whether that was all that is not over: only then is it known that nobody waits."""
        self._complete = whole

    async def run(self) -> None:
        """Assigns whenever something changed, until cancelled."""
        async with asyncio.TaskGroup() as writes:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await asyncio.sleep(0)  # the rest of this turn joins
                await self._hand_over()
                if taken := self._take():
                    writes.create_task(self._begin(taken))

    async def sweep(self) -> None:
        """Reminds workers of what they do not speak of, expires leases nobody confirms, until cancelled."""
        last = time.monotonic()
        while True:
            await asyncio.sleep(self._timing.sweep)
            now = time.monotonic()
            if (stalled := now - last - self._timing.sweep) >= self._timing.sweep:
                self._unconfirmed.extend_deadlines(stalled)
            last = now
            self._registry.drop_silent(now)
            for lease in self._leases.late(now):
                self.cancel_reservation(lease.id)
            await self._unconfirmed.give_back()
            if self._leads():
                await self._unconfirmed.remind(now)
                await self._unconfirmed.expire(now)
            else:
                self._complete = False
                self._unconfirmed.drop(now)
            self._drop_idle_queues(now)
            self._wake.set()  # a task's pause may be over, or the bus be back

    def _drop_idle_queues(self, now: float) -> None:
        """Nothing is kept of a queue without tasks that nobody serves."""
        self._queues.forget(now)
        for queue, waiting in self._scheduler.depth().items():
            if queue not in self._queues and not waiting and not self._leases.running(queue):
                self._scheduler.drop(queue)

    def _assigns(self) -> bool:
        """What nobody could be told of is not begun."""
        return self._leads() and self._orders.connected

    def _free(self, now: float) -> list[FreeWorker]:
        return self._registry.free(now, self._leases.held)

    def _take(self) -> list[tuple[QueuedTask, Lease]]:
        """Who is next, each with a place kept for it."""
        if not self._assigns() or not (free := self._free(time.monotonic())):
            return []
        taken = []
        for task, worker_id in self._scheduler.take(free, self._clock()):
            if lease := self._leases.reserve(task.task_id, task.attempt, task.queue, worker_id):
                taken.append((task, lease))
            else:  # it is being created once more, under its key
                self._scheduler.add(task, self._clock())
        return taken

    async def _begin(self, taken: Sequence[tuple[QueuedTask, Lease]]) -> None:
        """Writes them as begun; what is noticed then goes to its worker. Whatever could not begin waits on."""
        try:
            wanted = [Assignment(lease.holder or "", lease.id, lease.fence) for _, lease in taken]
            for (_, lease), start in zip(taken, await self._attempts.begin(wanted), strict=True):
                if self._leases.get(lease.id) is not lease:
                    continue  # noticed as it was written
                if start.task is not None:
                    self.noticed(start.task)
                else:
                    self.gone(lease.id)
        except ComputeError as error:
            log.warning("tasks not begun", count=len(taken), reason=error.reason)
            await asyncio.sleep(self._timing.sweep)
        finally:
            for task, lease in taken:
                if self._leases.get(lease.id) is lease:
                    self.cancel_reservation(lease.id)
                    self._scheduler.add(task, self._clock())

    async def _hand_over(self) -> None:
        assigned, self._assignments = self._assignments, defaultdict(list)
        for worker_id, tasks in assigned.items():
            await self._assign(worker_id, [task for task in tasks if self._leases.unconfirmed(task.id, task.attempt)])

    async def _assign(self, worker_id: str, tasks: list[Task]) -> None:
        inbox = self._registry.inbox(worker_id)
        if not inbox:  # it went meanwhile
            self._unconfirmed.undelivered((task.id, task.attempt) for task in tasks)
            return
        try:
            await self._orders.assign(inbox, tasks)
        except Exception as error:  # noqa: BLE001  # whatever the bus raises: the worker is reminded
            log.warning("tasks not handed over", worker_id=worker_id, count=len(tasks), error=repr(error))

    def _queued(self, task: Task) -> QueuedTask:
        # How long to wait is what the writer's clock says; from when on is this process's own affair.
        delay = max(0, task.not_before - task.updated_at) if task.not_before else 0
        return QueuedTask(
            task_id=task.id,
            tenant=task.tenant,
            queue=task.queue,
            priority=task.priority,
            created_at=task.created_at,
            attempt=task.attempt + 1,
            not_before=self._clock() + delay if delay else 0,
            weight=self._scheduler.estimate(task.task_type),
        )

    def _learn(self, task: Task) -> None:
        if task.state is TaskState.COMPLETED and task.started_at is not None:
            self._scheduler.learn(task.task_type, max((task.updated_at - task.started_at) / 1e6, 0.001))

    def _begin_lease(self, task: Task) -> bool:
        return self._leases.begin(task.id, task.attempt, task.queue, task.worker, version=task.version)
