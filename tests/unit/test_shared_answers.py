"""Answers that are worked out once for all who ask within a while."""

from __future__ import annotations

import asyncio

import pytest

from services.common.shared_answers import SharedAnswers
from tests.waiting import turns


class Work:
    """Counts how often it is done; waits for `go` before it answers."""

    def __init__(self) -> None:
        self.done = 0
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self) -> int:
        self.done += 1
        await self.go.wait()
        return self.done


async def test_all_who_ask_within_a_while_are_answered_by_one_piece_of_work() -> None:
    answers, work = SharedAnswers[str, int](60.0), Work()
    work.go.clear()
    asked = [asyncio.create_task(answers.get("a", work)) for _ in range(3)]
    await turns()
    work.go.set()
    assert await asyncio.gather(*asked) == [1, 1, 1]
    assert await answers.get("a", work) == 1
    assert await answers.get("b", work) == 2


async def test_who_asks_later_is_answered_anew() -> None:
    answers, work = SharedAnswers[str, int](0.0), Work()
    assert [await answers.get("a", work) for _ in range(2)] == [1, 2]


async def test_who_leaves_takes_nothing_from_the_others() -> None:
    answers, work = SharedAnswers[str, int](60.0), Work()
    work.go.clear()
    first, second = [asyncio.create_task(answers.get("a", work)) for _ in range(2)]
    await turns()
    first.cancel()
    work.go.set()
    assert await second == 1
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_failure_is_told_to_who_waits_and_to_nobody_later() -> None:
    answers, work = SharedAnswers[str, int](60.0), Work()

    async def fails() -> int:
        raise ValueError("away")

    asked = [asyncio.create_task(answers.get("a", fails)) for _ in range(2)]
    assert [type(one) for one in await asyncio.gather(*asked, return_exceptions=True)] == [ValueError, ValueError]
    assert await answers.get("a", work) == 1


async def test_no_more_are_kept_than_there_is_room_for() -> None:
    answers, work = SharedAnswers[int, int](60.0, room=2), Work()
    assert [await answers.get(key, work) for key in (1, 2, 3)] == [1, 2, 3]
    assert [await answers.get(key, work) for key in (3, 2)] == [3, 2]
    assert await answers.get(1, work) == 4
