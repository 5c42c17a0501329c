"""What is shared is opened once and closed after its last user."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.common.sharing import shared
from tests.waiting import turns


class Doors:
    """Counts what is open."""

    def __init__(self, *, stuck: bool = False) -> None:
        self.opened = 0
        self.open = 0
        self.stuck = stuck

    @asynccontextmanager
    async def opening(self) -> AsyncIterator[int]:
        if self.stuck:
            raise OSError("stuck")
        self.opened += 1
        self.open += 1
        await turns()
        try:
            yield self.opened
        finally:
            self.open -= 1


async def test_users_at_the_same_time_share_one_and_the_next_gets_a_new_one() -> None:
    doors, everybody = Doors(), asyncio.Barrier(5)

    async def use() -> int:
        async with shared("door", doors.opening) as found:
            await everybody.wait()
            assert doors.open == 1
            return found

    assert await asyncio.gather(*(use() for _ in range(5))) == [1] * 5
    assert doors.open == 0
    async with shared("door", doors.opening) as found:
        assert (found, doors.open) == (2, 1)
    assert doors.open == 0


async def test_the_first_may_leave_before_the_last() -> None:
    doors, leave = Doors(), asyncio.Event()

    async def use_for_long() -> None:
        async with shared("door", doors.opening):
            await leave.wait()

    async with shared("door", doors.opening):
        other = asyncio.create_task(use_for_long())
        await turns()
    assert doors.open == 1
    leave.set()
    await other
    assert doors.open == 0


async def test_other_keys_are_other_doors() -> None:
    doors = Doors()
    async with shared("a", doors.opening) as first, shared("b", doors.opening) as second:
        assert (first, second, doors.open) == (1, 2, 2)


async def test_what_could_not_be_opened_is_tried_again_by_the_next() -> None:
    doors = Doors(stuck=True)
    with pytest.raises(OSError, match="stuck"):
        async with shared("door", doors.opening):
            pass
    doors.stuck = False
    async with shared("door", doors.opening):
        assert doors.open == 1
