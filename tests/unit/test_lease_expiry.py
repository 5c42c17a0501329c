"""What the dispatcher remembers of a run whose lease has run out."""

from __future__ import annotations

from collections.abc import Sequence

from services.tasks.dispatcher import DispatchTiming
from services.tasks.domain import TaskState
from tests.unit.test_tasks_dispatcher import Desk, task
from tests.waiting import turns

QUICK = DispatchTiming(lease=0.2, sweep=0.02)


async def test_a_run_that_the_store_knew_to_be_over_is_forgotten_with_its_lease() -> None:
    async with Desk(timing=QUICK).open() as desk:
        desk.books.noticed(task("t", state=TaskState.EXECUTING, attempt=1))
        assert len(desk.books._leases) == 1
        await desk.expiring.wait()
        await turns(5)
        assert desk.expired == [("t", 1)] and len(desk.books._leases) == 0


async def test_what_began_while_the_old_run_was_ended_is_kept() -> None:
    class Successor(Desk):
        async def expire(self, runs: Sequence[tuple[str, int]]) -> None:
            self.books.noticed(task("t", state=TaskState.EXECUTING, attempt=2, version=9))
            await super().expire(runs)

    async with Successor(timing=QUICK).open() as desk:
        desk.books.noticed(task("t", state=TaskState.EXECUTING, attempt=1))
        await desk.expiring.wait()
        assert desk.expired == [("t", 1)]
        await turns(2)
        lease = desk.books._leases.get("t")
        assert lease is not None and lease.fence == 2
