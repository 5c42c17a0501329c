"""Several streams as one: everything of each, in its order; a failure ends its own; whoever leaves ends all."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.common.errors import ComputeError, NotFound
from services.common.merging import merged
from tests.waiting import turns, until


async def counting(count: int, *, then: Exception | None = None) -> AsyncIterator[int]:
    for number in range(count):
        await turns()
        yield number
    if then is not None:
        raise then


async def test_each_is_told_whole_and_in_its_order() -> None:
    streams = {name: counting(200) for name in "abc"}
    told: dict[str, list[object]] = {name: [] for name in streams}
    async for name, item in merged(streams):
        told[name].append(item)
    assert told == {name: list(range(200)) for name in "abc"}


async def test_an_expected_failure_is_the_last_word_of_its_stream_alone() -> None:
    gone = NotFound("gone")
    told = [item async for item in merged({"a": counting(2, then=gone), "b": counting(50)})]
    assert [item for name, item in told if name == "a"] == [0, 1, gone]
    assert [item for name, item in told if name == "b"] == list(range(50))


async def test_a_fault_of_ours_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        async for _ in merged({"a": counting(2, then=ZeroDivisionError()), "b": counting(50)}):
            pass


async def test_whoever_leaves_ends_every_stream() -> None:
    ended: list[str] = []

    async def endless(name: str) -> AsyncIterator[int]:
        try:
            while True:
                await turns()
                yield 1
        finally:
            ended.append(name)

    stream = merged({name: endless(name) for name in "ab"})
    assert not isinstance((await anext(stream))[1], ComputeError)
    await stream.aclose()  # type: ignore[attr-defined]  # it is a generator
    await until(lambda: len(ended) == 2)
    assert sorted(ended) == ["a", "b"]
