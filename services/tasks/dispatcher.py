"""Assigns tasks to workers, as many as they have room for, and ends runs whose worker went silent.

What is created while nothing waits and a worker has room is begun for that worker by the write that creates it: its
claim would only cost another call, another write and a turn of the queue. Everything else is released to a queue, to be
claimed by whoever is first.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from services.common.errors import ComputeError, Unavailable
from services.durable.leases import LeaseTable
from services.tasks.backlog import Backlog, QueuedTask
from services.tasks.domain import Task, TaskState
from services.tasks.ports import TaskClock
from services.tasks.queues import KnownQueues
from services.tasks.worker_registry import RegisteredModel, Reservation, WorkerRegistry

log = structlog.get_logger()
_LARGEST_ORDER = 32
# Half a second of what the store takes: the rest has its turn with the next sweep.
_EXPIRED_AT_ONCE = 1_000


class WorkerOrders(Protocol):
    """The way to the workers."""

    @property
    def connected(self) -> bool: ...

    async def release(self, queue: str, items: list[QueuedTask]) -> None: ...

    async def assign(self, inbox: str, tasks: list[Task]) -> None:
        """To the worker these were begun for."""
        ...

    async def remind(self, inbox: str, task_id: str, attempt: int) -> None:
        """Of an attempt that was begun for it, and of which it has not said anything."""
        ...

    async def stop(self, task_id: str, attempt: int) -> None: ...


class RunCloser(Protocol):
    """Ends runs that no worker carries out, named by task and attempt. Both raise ComputeError."""

    async def expire(self, runs: Sequence[tuple[str, int]]) -> None:
        """Their workers went silent."""
        ...

    async def give_back(self, runs: Sequence[tuple[str, int]]) -> None:
        """No worker ever heard of them: the attempt does not count."""
        ...


@dataclass(frozen=True, slots=True)
class DispatchTiming:
    """Seconds. `lease`: silence after which a run is lost; `claim`: after which an order nobody took is repeated."""

    lease: float = 10.0
    claim: float = 5.0
    sweep: float = 0.5


class Dispatcher:
    """Knows what waits, what is on its way and what runs. Every replica does; only the leader acts on it."""

    def __init__(
        self,
        orders: WorkerOrders,
        endings: RunCloser,
        clock: TaskClock,
        leads: Callable[[], bool],
        timing: DispatchTiming,
        queues: KnownQueues | None = None,
    ) -> None:
        self._orders = orders
        self._endings = endings
        self._clock = clock
        self._leads = leads
        self._timing = timing
        self._queues = queues or KnownQueues()
        self._backlogs: dict[str, Backlog] = defaultdict(Backlog)
        self._released: dict[str, tuple[QueuedTask, float]] = {}
        self._leases = LeaseTable(timing.lease, timing.claim)
        self._on_the_way: Counter[str] = Counter()
        self._registry = WorkerRegistry(timing.lease)
        self._assignments: dict[str, list[Task]] = defaultdict(list)
        self._undelivered: set[tuple[str, int]] = set()
        self._complete = False
        self._weights: dict[str, float] = {}
        self._readings: list[set[str]] = []
        self._wake = asyncio.Event()

    def check_queue(self, queue: str) -> None:
        """Raises UnknownQueue where no setting names it, no worker served it lately, and none of its tasks is there."""
        if queue not in self._queues and not self._in_use(queue):
            raise self._queues.refusal()

    def reserve_worker(self, task: Task) -> str | None:
        """The worker that a task about to be created may be begun for; the reservation lasts until that is noticed."""
        queue = task.queue
        able = self._leads() and self._complete and self._orders.connected
        backlog = self._backlogs.get(queue)
        if not able or (backlog and backlog.has_ready(self._clock())) or self._room(queue) <= 0:
            return None
        chosen = self._registry.reserve(task.id, queue, time.monotonic(), self._timing.claim)
        if chosen is not None:
            self._on_the_way[queue] += 1
        return chosen

    def cancel_reservation(self, task_id: str) -> Reservation | None:
        """The place that was kept for it, which is free again."""
        reservation = self._registry.release(task_id)
        if reservation is not None:
            self._arrived(reservation.queue)
            self._wake.set()
        return reservation

    def noticed(self, task: Task) -> None:
        """A durable write, of this replica or another; what was overtaken on its way changes nothing."""
        lease = self._leases.get(task.id)
        if lease is not None and task.version < lease.version:
            return
        for changed in self._readings:
            changed.add(task.id)
        if lease is not None and (task.state is not TaskState.EXECUTING or task.attempt != lease.fence):
            self._drop_lease(task.id)
            self._learn(task)
        if task.state is TaskState.PENDING:
            self._recall(task.id)
            self._backlogs[task.queue].push(self._waiting(task), self._clock())
        elif task.state is TaskState.EXECUTING:
            self._forget(task)
            self._begin_lease(task)
            reservation = self.cancel_reservation(task.id)
            # Where another replica's write of that id came first, there is nothing to hand over.
            if reservation is not None and reservation.worker_id == task.worker and task.spec:
                self._assignments[reservation.worker_id].append(task)
        else:
            self._forget(task)
            self.cancel_reservation(task.id)
        self._wake.set()

    def gone(self, task_id: str) -> None:
        """No such task."""
        self._recall(task_id)
        self._drop_lease(task_id)
        for backlog in self._backlogs.values():
            backlog.remove(task_id)
        self._wake.set()

    def heard(
        self,
        worker_id: str,
        queue: str,
        capacity: int,
        *,
        running: int = 0,
        draining: bool = False,
        inbox: str = "",
        unwell: tuple[str, ...] = (),
        models: tuple[RegisteredModel, ...] = (),
    ) -> None:
        """A worker is alive and has this many slots; while it drains, no more than it still runs. `unwell` are the
        models that do not answer it, `models` those that do.
        """
        if draining:
            capacity, inbox = min(capacity, running), ""
        self._queues.serve(queue, time.monotonic())
        if self._registry.heard(worker_id, queue, capacity, inbox, unwell, models):
            self._wake.set()

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
            raise Unavailable(f"models that do not answer: {', '.join(unwell)}", reason="MODELS_AWAY")

    def undelivered(self, inbox: str, attempts: Iterable[tuple[str, int]]) -> None:
        """These were handed over where nobody listens."""
        self._registry.mark_unreachable(inbox)
        self._undelivered.update(attempts)

    def confirm(self, task_id: str, attempt: int, progress: float) -> bool:
        """A worker says it runs this. False if that is known to be wrong: the attempt is over or another's."""
        return self._leases.renew(task_id, attempt, progress)

    def progress(self, task_id: str) -> float:
        lease = self._leases.get(task_id)
        return lease.progress if lease else 0.0

    def depth(self) -> dict[str, int]:
        """Waiting tasks of each queue."""
        return {queue: len(backlog) for queue, backlog in self._backlogs.items()}

    def running(self) -> dict[str, int]:
        """Running tasks of each queue."""
        return self._leases.by_group

    def slots(self) -> dict[str, list[int]]:
        """What each worker of a queue can run at the same time, by queue."""
        return {queue: self._registry.capacities(queue) for queue in self._registry.queues}

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
        on_the_way = task.id in self._released or task.id in self._backlogs.get(task.queue, ())
        if task.state is TaskState.PENDING and not on_the_way:
            self._backlogs[task.queue].push(self._waiting(task), self._clock())
        elif task.state is TaskState.EXECUTING:
            self._begin_lease(task)

    def complete(self, *, whole: bool = True) -> None:
        """Whether that was all that is not over: only then is it known that nobody waits."""
        self._complete = whole

    async def run(self) -> None:
        """Releases whenever something changed, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(0)  # the rest of this turn joins
            handing, self._assignments = self._assignments, defaultdict(list)
            for worker_id, tasks in handing.items():
                await self._assign(
                    worker_id, [task for task in tasks if self._leases.unconfirmed(task.id, task.attempt)]
                )
            if self._leads():
                for queue in self._registry.queues:
                    await self._release(queue)

    async def sweep(self) -> None:
        """Repeats orders nobody took, expires leases nobody confirm for, until cancelled."""
        last = time.monotonic()
        while True:
            await asyncio.sleep(self._timing.sweep)
            now = time.monotonic()
            self._extend_deadlines(now - last - self._timing.sweep)
            last = now
            self._registry.drop_silent(now)
            self._repeat_orders(now)
            for task_id in self._registry.expired_reservations(now):
                self.cancel_reservation(task_id)
            await self._return_undelivered()
            if self._leads():
                await self._remind(now)
                await self._expire_leases(now)
            else:
                self._complete = False
                self._drop_unkept(now)
            self._drop_idle_queues(now)
            if self._is_due():
                self._wake.set()

    def _is_due(self) -> bool:
        """Whether a pause is over of a task that a worker can take."""
        served = (self._backlogs[queue] for queue in self._registry.queues if queue in self._backlogs)
        return any((due := backlog.next_due()) is not None and due <= self._clock() for backlog in served)

    def _drop_idle_queues(self, now: float) -> None:
        """Nothing is kept of a queue without tasks that nobody serves."""
        self._queues.forget(now)
        for queue in [queue for queue in self._backlogs if queue not in self._queues and not self._in_use(queue)]:
            del self._backlogs[queue]

    def _in_use(self, queue: str) -> bool:
        return bool(self._backlogs.get(queue) or self._leases.running(queue) or self._on_the_way[queue])

    def _extend_deadlines(self, stalled: float) -> None:
        """This process itself was stopped or starved: its silence is not the workers'."""
        if stalled < self._timing.sweep:
            return
        self._leases.extend_deadlines(stalled)
        self._registry.extend_deadlines(stalled)

    def _room(self, queue: str) -> int:
        return sum(self._registry.capacities(queue)) - self._leases.running(queue) - self._on_the_way[queue]

    async def _release(self, queue: str) -> None:
        backlog = self._backlogs.get(queue)
        if not backlog or (room := self._room(queue)) <= 0:
            return
        items = backlog.pop(room, self._clock())
        size = max(1, min(_LARGEST_ORDER, min(self._registry.capacities(queue)) // 8))
        until = time.monotonic() + self._timing.claim
        for item in items:
            self._released[item.task_id] = (item, until)
            self._on_the_way[queue] += 1
        for start in range(0, len(items), size):
            await self._send(queue, items[start : start + size])

    async def _send(self, queue: str, items: list[QueuedTask]) -> None:
        try:
            await self._orders.release(queue, items)
        except Exception as error:  # noqa: BLE001  # whatever the bus raises: the sweep repeats the order
            log.warning("order not sent", queue=queue, count=len(items), error=repr(error))

    async def _assign(self, worker_id: str, tasks: list[Task]) -> None:
        inbox = self._registry.inbox(worker_id)
        if not inbox:  # it went meanwhile
            self._undelivered.update((task.id, task.attempt) for task in tasks)
            return
        try:
            await self._orders.assign(inbox, tasks)
        except Exception as error:  # noqa: BLE001  # whatever the bus raises: the worker is reminded
            log.warning("tasks not handed over", worker_id=worker_id, count=len(tasks), error=repr(error))

    async def _return_undelivered(self) -> None:
        """What nobody heard of waits again, at once."""
        undelivered, self._undelivered = self._undelivered, set()
        runs = [run for run in undelivered if self._leases.unconfirmed(*run)]
        if not runs:
            return
        log.info("nobody heard of the tasks", count=len(runs))
        try:
            await self._endings.give_back(runs)
        except ComputeError as error:
            log.warning("tasks not given back", count=len(runs), reason=error.reason)  # their leases run out

    async def _remind(self, now: float) -> None:
        """Who never confirm for a run may not know of it: its order was lost, or whoever began it died before."""
        for lease in self._leases.to_remind(now):
            inbox = self._registry.inbox(lease.holder)
            if not inbox:
                continue
            try:
                await self._orders.remind(inbox, lease.id, lease.fence)
            except Exception as error:  # noqa: BLE001  # as with releases
                log.warning("worker not reminded", task_id=lease.id, error=repr(error))

    def _repeat_orders(self, now: float) -> None:
        late = [item for item, until in self._released.values() if until <= now]
        for item in late:
            self._recall(item.task_id)
            self._backlogs[item.queue].push(item, self._clock())
        if late:
            log.info("orders not taken", count=len(late))
            self._wake.set()

    async def _expire_leases(self, now: float) -> None:
        late = self._leases.late(now)[:_EXPIRED_AT_ONCE]
        if not late:
            return
        for lease in late:
            log.warning("lease expired", task_id=lease.id, attempt=lease.fence)
            lease.until = now + 1.0  # where that fails
        try:
            await self._endings.expire([(lease.id, lease.fence) for lease in late])
        except ComputeError as error:
            log.warning("leases not expired", count=len(late), reason=error.reason)
            return
        for lease in late:
            if self._leases.get(lease.id) is lease:
                self._drop_lease(lease.id)  # the store knew already that it was over
                self._wake.set()

    def _drop_unkept(self, now: float) -> None:
        """A replica that leads later reads the store anew; until then it need not remember whose end it missed."""
        for lease in self._leases.late(now):
            self._drop_lease(lease.id)

    def _waiting(self, task: Task) -> QueuedTask:
        weight = self._weights.get(task.task_type, 1.0)
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
            weight=weight,
        )

    def _learn(self, task: Task) -> None:
        """What a run of this type takes, as a running mean: the weight of fair share."""
        if task.state is TaskState.COMPLETED and task.started_at is not None:
            seconds = max((task.updated_at - task.started_at) / 1e6, 0.001)
            self._weights[task.task_type] = 0.8 * self._weights.get(task.task_type, seconds) + 0.2 * seconds

    def _begin_lease(self, task: Task) -> None:
        known = self._leases.get(task.id)
        if known is not None and known.fence == task.attempt:
            return
        self._drop_lease(task.id)
        self._leases.begin(task.id, task.attempt, task.queue, task.worker, version=task.version)
        self._registry.began(task.worker)

    def _drop_lease(self, task_id: str) -> None:
        lease = self._leases.drop(task_id)
        if lease is not None:
            self._registry.ended(lease.holder)

    def _forget(self, task: Task) -> None:
        self._recall(task.id)
        if (backlog := self._backlogs.get(task.queue)) is not None:
            backlog.remove(task.id)

    def _recall(self, task_id: str) -> None:
        known = self._released.pop(task_id, None)
        if known is not None:
            self._arrived(known[0].queue)

    def _arrived(self, queue: str) -> None:
        """One that was on its way has come, or comes no more."""
        self._on_the_way[queue] -= 1
        if not self._on_the_way[queue]:
            del self._on_the_way[queue]
