"""Group commit: whatever arrives while a group is on its way goes with the next one, tenants in turn; no timer."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Container, Iterable, Sequence
from typing import Any, Generic, TypeVar

from services.common.errors import Overloaded
from services.durable.fair_queue import FairQueue

OpT = TypeVar("OpT")
OutcomeT = TypeVar("OutcomeT")
# Seconds; drawn anew for each, so that those refused together don't return together.
_RETRY_SOONEST, _RETRY_LATEST = 1.0, 3.0


class BatchWriter(Generic[OpT, OutcomeT]):
    """Groups of operations over `send`, which answers one outcome for each operation, in order.

    An operation whose caller gave up before its group left is never sent.
    """

    def __init__(
        self,
        send: Callable[[Sequence[OpT]], Awaitable[Sequence[OutcomeT | Exception]]],
        *,
        group: int = 256,
        contended_group: int = 256,
        capacity: int = 10_000,
        in_flight: int = 1,
        weigh: Callable[[OpT], int] = lambda _: 0,
        group_weight: int = 1,
        busy: str = "STORE_BUSY",
        tenant_of: Callable[[OpT], str] = lambda _: "",
    ) -> None:
        """`group` and `group_weight` bound one group, `in_flight` the groups that are out at the same time. While more
        than one tenant comes, `contended_group` bounds a group too, and no tenant is in all groups that are out: who
        comes next need not wait for those of one that floods; where that one has every place, there is one more.

        `capacity` bounds what may wait for a tenant that is alone, and less beside others (see `FairQueue`); beyond it
        `put` raises Overloaded with the reason `busy`.
        """
        self._send = send
        self._group = group
        self._contended_group = min(group, contended_group)
        self._in_flight = in_flight
        self._weigh = weigh
        self._group_weight = group_weight
        self._busy = busy
        self._tenant_of = tenant_of
        self._waiting: FairQueue[tuple[OpT, asyncio.Future[OutcomeT]]] = FairQueue(capacity)
        self._flights: set[asyncio.Task[None]] = set()
        self._groups_out: Counter[str] = Counter()

    def put(self, op: OpT) -> asyncio.Future[OutcomeT]:
        """The future resolves when the group that carried `op` was answered. Raises Overloaded."""
        tenant = self._tenant_of(op)
        self.check_room(tenant)
        future: asyncio.Future[OutcomeT] = asyncio.get_running_loop().create_future()
        self._waiting.put(tenant, (op, future))
        if self._may_fly(tenant):
            flight = asyncio.create_task(self._fly(), name="batch writer")
            self._flights.add(flight)
        return future

    def check_room(self, tenant: str = "") -> None:
        """For those who would do work first that a refusal makes vain. Raises Overloaded."""
        if not self._waiting.has_room(tenant):
            pause = random.uniform(_RETRY_SOONEST, _RETRY_LATEST)
            raise Overloaded("too many requests are waiting", reason=self._busy, retry_after=pause)

    async def drain(self) -> None:
        """Waits until nothing is left to send."""
        while self._flights:
            await asyncio.wait(set(self._flights))

    def _may_fly(self, tenant: str) -> bool:
        if len(self._flights) < self._in_flight:
            return tenant not in self._passed_over()
        newcomer = self._waiting.contended and not self._groups_out[tenant]
        return newcomer and 1 < self._in_flight == len(self._flights)

    async def _fly(self) -> None:
        flown = False
        try:
            await asyncio.sleep(0)  # what this turn of the loop still brings joins the group
            while len(self._flights) <= self._in_flight + (not flown) and (group := self._take()):
                flown = True
                tenants = {self._tenant_of(op) for op, _ in group}
                self._groups_out.update(tenants)
                await self._send_group(group)
                self._groups_out -= Counter(tenants)
        finally:
            self._flights.discard(asyncio.current_task())

    def _take(self) -> list[tuple[OpT, asyncio.Future[OutcomeT]]]:
        group: list[tuple[OpT, asyncio.Future[OutcomeT]]] = []
        weight = 0
        most = self._contended_group if self._waiting.contended else self._group
        passed_over = self._passed_over()
        while len(group) < most and weight < self._group_weight and (item := self._waiting.take(passed_over)):
            op, future = item
            if not future.done():
                group.append((op, future))
                weight += self._weigh(op)
        return group

    def _passed_over(self) -> Container[str]:
        """Tenants that have as many groups out as one of several may have."""
        if self._in_flight == 1 or not self._waiting.contended:
            return ()
        return {tenant for tenant, groups in self._groups_out.items() if groups >= self._in_flight - 1}

    async def _send_group(self, group: list[tuple[OpT, asyncio.Future[OutcomeT]]]) -> None:
        try:
            outcomes: Sequence[OutcomeT | Exception] = await self._send([op for op, _ in group])
        except Exception as error:  # noqa: BLE001  # handed to every caller of the group
            outcomes = [error] * len(group)
        for (_, future), outcome in zip(group, outcomes, strict=True):
            if future.done():
                continue
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)


def abandon(futures: Iterable[asyncio.Future[Any]]) -> None:
    """Whoever asked is gone: what is not on its way yet is not sent, and what fails is nobody's business any more."""
    for future in futures:
        if not future.cancel() and not future.cancelled():
            future.exception()
