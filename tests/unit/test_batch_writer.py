"""Group commit: what waits goes together, within bounds, and nothing waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest

from services.common.errors import Overloaded
from services.durable.batch_writer import BatchWriter, abandon
from tests import waiting


class Sender:
    """Answers when it is let to."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.gate = asyncio.Semaphore(0)

    async def send(self, ops: Sequence[str]) -> list[str | Exception]:
        self.groups.append(list(ops))
        await self.gate.acquire()
        return [ValueError(op) if op == "bad" else op.upper() for op in ops]

    def release(self, times: int = 1) -> None:
        for _ in range(times):
            self.gate.release()


async def all_sent(sender: Sender, writer: BatchWriter[str, str], writes: list[asyncio.Future[str]]) -> list[list[str]]:
    sender.release(len(writes))
    await asyncio.gather(*writes)
    await writer.drain()
    return sender.groups


async def turns(count: int = 4) -> None:
    await waiting.turns(count)


async def test_a_group_holds_no_more_than_its_weight_and_number() -> None:
    sender = Sender()
    writer = BatchWriter(sender.send, group=3, weigh=len, group_weight=8)
    writes = [writer.put(op) for op in ("aaaa", "bbbbbbbb", "c", "d", "e", "f")]
    sender.release(3)
    assert await asyncio.gather(*writes) == ["AAAA", "BBBBBBBB", "C", "D", "E", "F"]
    assert sender.groups == [["aaaa", "bbbbbbbb"], ["c", "d", "e"], ["f"]]


async def test_so_many_groups_are_out_at_once_and_no_more() -> None:
    sender = Sender()
    writer = BatchWriter(sender.send, in_flight=2)
    writes = []
    for op in ("a", "b", "c", "d"):
        writes.append(writer.put(op))
        await turns()
    assert sender.groups == [["a"], ["b"]]
    sender.release(3)
    await asyncio.gather(*writes)
    assert sender.groups == [["a"], ["b"], ["c", "d"]]


@pytest.mark.parametrize("in_flight", [1, 2])
async def test_what_comes_as_the_last_group_is_answered_is_sent_too(in_flight: int) -> None:
    """Between its answer and the end of what carried it."""
    sender = Sender()
    sender.release(100)
    writer = BatchWriter(sender.send, in_flight=in_flight)
    for number in range(20):
        async with asyncio.timeout(1):
            assert await writer.put(f"x{number}") == f"X{number}"
    await writer.drain()


async def test_beyond_what_may_wait_it_refuses_with_the_reason_it_was_given() -> None:
    sender = Sender()
    writer = BatchWriter(sender.send, group=1, capacity=2, busy="TOO_BUSY")
    writes = [writer.put("a")]
    await turns()
    writes += [writer.put("b"), writer.put("c")]
    with pytest.raises(Overloaded) as caught:
        writer.put("d")
    assert caught.value.reason == "TOO_BUSY" and 1 <= (caught.value.retry_after or 0) <= 3
    sender.release(3)
    await asyncio.gather(*writes)


async def test_tenants_go_in_turn_each_in_its_order() -> None:
    sender = Sender()
    writer = BatchWriter(sender.send, group=3, tenant_of=lambda op: op[0])
    writes = [writer.put("x")]
    await turns()
    writes += [writer.put(op) for op in ("a1", "a2", "a3", "a4", "b1", "c1", "b2")]
    sender.release(4)
    await asyncio.gather(*writes)
    assert sender.groups == [["x"], ["a1", "b1", "c1"], ["a2", "b2", "a3"], ["a4"]]


async def test_groups_are_smaller_while_more_than_one_tenant_comes() -> None:
    sender = Sender()
    writer = BatchWriter(sender.send, group=4, contended_group=2, tenant_of=lambda op: op[0])
    writes = [writer.put(op) for op in ("a1", "a2", "a3", "a4", "a5")]
    await turns()
    assert sender.groups == [["a1", "a2", "a3", "a4"]]
    writes.append(writer.put("b1"))
    writes.append(writer.put("a6"))
    groups = await all_sent(sender, writer, writes)
    assert groups[1:] == [["a5", "b1"], ["a6"]]


async def test_who_comes_next_need_not_wait_for_the_groups_of_one_that_floods() -> None:
    sender = Sender()
    writer = BatchWriter(sender.send, contended_group=2, in_flight=2, tenant_of=lambda op: op[0])
    writes = []
    for op in ("a1", "b1", "a2", "a3", "a4", "a5"):
        writes.append(writer.put(op))
        await turns()
    assert sender.groups == [["a1"], ["b1"]]
    sender.release()
    await turns()
    assert sender.groups[2:] == [["a2", "a3"]]
    sender.release()
    await turns()
    assert not sender.groups[3:], "the other place is not for the tenant that has a group out"
    writes.append(writer.put("b2"))
    await turns()
    assert sender.groups[3:] == [["b2"]]
    assert (await all_sent(sender, writer, writes))[4:] == [["a4", "a5"]]


async def test_the_first_of_a_tenant_does_not_wait_where_another_has_every_place() -> None:
    sender = Sender()
    writer = BatchWriter(sender.send, in_flight=2, tenant_of=lambda op: op[0])
    writes = []
    for op in ("a1", "a2", "a3", "b1", "b2", "c1"):
        writes.append(writer.put(op))
        await turns()
    assert sender.groups == [["a1"], ["a2"], ["b1"]], "one more, and no second one"
    assert sorted(op for group in await all_sent(sender, writer, writes) for op in group) == sorted(
        ["a1", "a2", "a3", "b1", "b2", "c1"]
    )
    assert not writer._flights  # none is left over


async def test_one_tenant_alone_has_every_place() -> None:
    sender = Sender()
    writer = BatchWriter(sender.send, in_flight=2, tenant_of=lambda op: op[0])
    writes = []
    for op in ("a1", "a2", "a3"):
        writes.append(writer.put(op))
        await turns()
    assert sender.groups == [["a1"], ["a2"]]
    await all_sent(sender, writer, writes)


async def test_a_tenant_that_has_filled_its_share_is_refused_and_one_that_comes_is_not() -> None:
    sender = Sender()
    writer = BatchWriter(sender.send, group=1, capacity=100, tenant_of=lambda op: op[0])
    writes = [writer.put("x")]
    await turns()
    for tenant in "abcd":
        with suppress(Overloaded):
            while True:
                writes.append(writer.put(tenant))
        with pytest.raises(Overloaded):
            writer.check_room(tenant)
    held = [sum(group == [tenant] for group in await all_sent(sender, writer, writes)) for tenant in "abcd"]
    assert held == [100, 50, 25, 13]


async def test_one_that_fails_fails_alone_and_one_that_was_given_up_is_not_sent() -> None:
    sender = Sender()
    writer = BatchWriter(sender.send)
    first = writer.put("a")
    await turns()
    gone, bad, good = (writer.put(op) for op in ("gone", "bad", "good"))
    abandon([gone])
    sender.release(2)
    answers = await asyncio.gather(first, bad, good, return_exceptions=True)
    assert [answers[0], type(answers[1]), answers[2]] == ["A", ValueError, "GOOD"]
    assert sender.groups == [["a"], ["bad", "good"]]
