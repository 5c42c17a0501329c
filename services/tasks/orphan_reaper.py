"""Finds calls that ended tasks left open at vendors, so that each job is stopped, or at least accounted for.

Open calls are recorded before the end of their task is written, so that no crash can hide them; tasks without any cost
no write. The leader asks a worker to resolve them, again and again with growing pauses, until every call has an
outcome, the task was replayed, or the calls are given up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol
from uuid import uuid4

import orjson
import structlog

from services.common.errors import NotFound
from services.durable.due_items import DueItems, postpone, sweep
from services.tasks.domain import SECOND, Task
from services.tasks.ports import OrphanedCalls, TaskClock, TaskRepository
from services.tasks.provider_calls import ProviderCallRecord, kept
from services.tasks.service import TaskService

log = structlog.get_logger()
_DOUBLINGS = 20
# An end that was noted is written within that, or never: its writer died. Longer than the store is waited for.
_UNWRITTEN = 600 * SECOND


class ResolveOrders(Protocol):
    """The way to the workers."""

    async def resolve_orphans(self, queue: str, task_id: str) -> None: ...


@dataclass(frozen=True, slots=True)
class OrphanTiming:
    """Seconds. `grace` for a worker that may still be busy; `first` and `longest` pause; `last`: give up."""

    grace: float = 30.0
    first: float = 60.0
    longest: float = 3600.0
    last: float = 24 * 3600.0

    def pause(self, tries: int) -> int:
        """Microseconds."""
        return int(min(self.first * 2.0 ** min(tries, _DOUBLINGS), self.longest) * SECOND)


class OrphanedCall(NamedTuple):
    """`config` is that of its provider, as JSON."""

    call: ProviderCallRecord
    config: str


class OrphanRecorder:
    """Records the calls that a task leaves open, before its end is written."""

    def __init__(self, ends: DueItems[OrphanedCalls], clock: TaskClock, patience: OrphanTiming) -> None:
        self._ends = ends
        self._clock = clock
        self._patience = patience

    async def note(self, task: Task) -> None:
        now = self._clock()
        # A task that waited when it was cancelled has no worker that could stop its job.
        due = now if task.worker is None else now + int(self._patience.grace * SECOND)
        common = orjson.loads(task.spec).get("common") or {}
        configs = _text(common.get("provider_config")), _text(common.get("fallback_provider_config"))
        await self._ends.begin(
            OrphanedCalls(task.id, task.queue, task.orphaned_calls, configs, now, due, 0, uuid4().hex)
        )


class OrphanReaper:
    def __init__(
        self,
        ends: DueItems[OrphanedCalls],
        service: TaskService,
        tasks: TaskRepository,
        orders: ResolveOrders,
        clock: TaskClock,
        patience: OrphanTiming,
    ) -> None:
        self._ends = ends
        self._service = service
        self._tasks = tasks
        self._orders = orders
        self._clock = clock
        self._patience = patience

    async def sweep(self) -> None:
        """Carries on with whatever is due. For the leader."""
        await sweep(self._ends, self._clock(), self._carry_on, self._later)

    async def take(self, task_id: str) -> Sequence[OrphanedCall]:
        """What is open, for a worker that is about to ask for it. Counts as a try."""
        end = await self._ends.get(task_id)
        found = await self._open(end) if end is not None else None
        if end is None or not found:
            return ()
        tried = replace(end, tries=end.tries + 1, due=self._clock() + self._patience.pause(end.tries))
        await self._ends.change(tried)
        return [OrphanedCall(call, end.configs[call.fallback]) for call in found]

    async def heard(self, task_id: str, call: ProviderCallRecord) -> bool:
        """Takes what is said of a call whose task was deleted meanwhile. False where nobody waits for it."""
        end = await self._ends.get(task_id)
        if end is None or all(one.id != call.id for one in end.calls):
            return False
        await self._ends.change(replace(end, calls=kept(end.calls, (call,))))
        return True

    async def _carry_on(self, end: OrphanedCalls) -> None:
        now, found = self._clock(), await self._open(end)
        if found is None and now - end.since < _UNWRITTEN:
            await self._ends.change(self._later(end))
        elif not found:
            await self._ends.end(end)
        elif now - end.since >= self._patience.last * SECOND:
            await self._give_up(end, found)
        else:
            await postpone(self._ends, self._later(end))
            await self._orders.resolve_orphans(end.queue, end.id)

    async def _open(self, end: OrphanedCalls) -> tuple[ProviderCallRecord, ...] | None:
        """None while its task is not over: its end was never written, or it was replayed and asks for itself."""
        try:
            task = await self._tasks.get_fresh(end.id)
        except NotFound:
            task = None
        if task is None or task.erased:
            return tuple(call for call in end.calls if call.is_orphaned)
        return task.orphaned_calls if task.state.terminal else None

    async def _give_up(self, end: OrphanedCalls, found: Sequence[ProviderCallRecord]) -> None:
        hours = self._patience.last / 3600
        for call in found:
            log.warning("call given up", task_id=end.id, provider=call.provider, request_id=call.request_id)
            try:
                await self._service.record(end.id, "", 0, call.given_up(f"asked for {hours:g} h in vain"))
            except NotFound:
                break  # deleted: there is nobody to tell
        await self._ends.end(end)

    def _later(self, end: OrphanedCalls) -> OrphanedCalls:
        """Without a word from a worker it was not tried: the pause does not grow."""
        return replace(end, due=self._clock() + self._patience.pause(0))


def _text(config: object) -> str:
    return orjson.dumps(config or {}).decode()
