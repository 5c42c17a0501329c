"""Tests wait for conditions: no bare pause is left in them, and the helper that waits does."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.pauses import found, pauses
from tests.waiting import turns, until


def test_no_test_sleeps_but_by_a_helper_that_says_why() -> None:
    assert list(found()) == []


def test_a_pause_is_named_by_its_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "unit").mkdir()
    (tmp_path / "unit" / "test_it.py").write_text("import time\n\ntime.sleep(1)\n")
    (tmp_path / "waiting.py").write_text("import time\n\ntime.sleep(1)\n")
    assert list(found(tmp_path)) == [f"{tmp_path}/unit/test_it.py:3"]


@pytest.mark.parametrize(
    "source",
    ["await asyncio.sleep(1)", "time.sleep(0)", "from asyncio import sleep", "run(asyncio.sleep)"],
)
def test_every_spelling_of_a_pause_is_found(source: str) -> None:
    assert list(pauses(f"async def test():\n    {source}")) == [2]


async def test_a_condition_is_asked_until_it_holds_and_its_answer_is_handed_on() -> None:
    asked: list[int] = []

    def third() -> str:
        asked.append(1)
        return "there" if len(asked) == 3 else ""

    async def later() -> str:
        return third()

    assert await until(third, every=0) == "there"
    asked.clear()
    assert await until(later, every=0) == "there"


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_condition_that_never_holds_ends_at_the_deadline(hangs: bool) -> None:
    async def never() -> bool:
        if hangs:
            await asyncio.Event().wait()
        return False

    began = time.monotonic()
    with pytest.raises(TimeoutError):
        await until(never, timeout=0.1)
    assert 0.1 <= time.monotonic() - began < 5


async def test_turns_let_what_is_ready_run() -> None:
    seen: list[int] = []

    async def steps() -> None:
        for number in range(3):
            seen.append(number)
            await turns()

    running = asyncio.create_task(steps())
    await turns()
    assert seen == [0]
    await turns(2)
    assert seen == [0, 1, 2]
    await running
