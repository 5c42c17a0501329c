"""Runs of which no worker speaks: it is reminded, and loses them; what it never heard of waits again."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from services.common.errors import ComputeError
from services.durable.leases import LeaseTable
from services.tasks.metrics import REMINDED
from services.tasks.ports import AttemptWriter, WorkerOrders
from services.tasks.worker_registry import WorkerRegistry

log = structlog.get_logger()
# Half a second of what the store takes: the rest has its turn with the next sweep.
_EXPIRED_AT_ONCE = 1_000


class UnconfirmedRuns:
    """Looked at by the dispatcher's sweep; what is dropped here frees its worker's slot."""

    def __init__(
        self, leases: LeaseTable, registry: WorkerRegistry, orders: WorkerOrders, attempts: AttemptWriter
    ) -> None:
        self._leases = leases
        self._registry = registry
        self._orders = orders
        self._attempts = attempts
        self._undelivered: set[tuple[str, int]] = set()

    def undelivered(self, attempts: Iterable[tuple[str, int]]) -> None:
        """These were handed over where nobody listens."""
        self._undelivered.update(attempts)

    async def give_back(self) -> None:
        """What nobody heard of waits again, at once."""
        undelivered, self._undelivered = self._undelivered, set()
        runs = [run for run in undelivered if self._leases.unconfirmed(*run)]
        if not runs:
            return
        log.info("nobody heard of the tasks", count=len(runs))
        try:
            await self._attempts.give_back(runs)
        except ComputeError as error:
            log.warning("tasks not given back", count=len(runs), reason=error.reason)  # their leases run out

    async def remind(self, now: float) -> None:
        """Who never confirm for a run may not know of it: its order was lost, or whoever began it died before."""
        for lease in self._leases.to_remind(now):
            inbox = self._registry.inbox(lease.holder)
            if not inbox:
                continue
            try:
                await self._orders.remind(inbox, lease.id, lease.fence)
                REMINDED.count()
            except Exception as error:  # noqa: BLE001  # whatever the bus raises: the next one comes
                log.warning("worker not reminded", task_id=lease.id, error=repr(error))

    async def expire(self, now: float) -> None:
        late = [lease for lease in self._leases.late(now) if lease.written][:_EXPIRED_AT_ONCE]
        if not late:
            return
        for lease in late:
            log.warning("lease expired", task_id=lease.id, attempt=lease.fence)
            lease.until = now + 1.0  # where that fails
        try:
            await self._attempts.expire([(lease.id, lease.fence) for lease in late])
        except ComputeError as error:
            log.warning("leases not expired", count=len(late), reason=error.reason)
            return
        for lease in late:
            if self._leases.get(lease.id) is lease:
                self._leases.drop(lease.id)  # the store knew already that it was over

    def drop(self, now: float) -> None:
        """A replica that leads later reads the store anew; until then it need not remember whose end it missed."""
        for lease in self._leases.late(now):
            self._leases.drop(lease.id)

    def extend_deadlines(self, stalled: float) -> None:
        """This process itself was stopped or starved: its silence is not the workers'."""
        self._leases.extend_deadlines(stalled)
        self._registry.extend_deadlines(stalled)
