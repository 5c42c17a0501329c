"""The relay's promise: an event counts as published when a crash of NATS can no longer take it back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from services.durable.metrics import LEFT_OUT
from services.durable.relay import OutboxRelay
from services.messaging.publishing import OutgoingMessage
from services.tasks.domain import Task
from services.tasks.outgoing import outgoing
from tests.waiting import nothing_happens_for, until

HOLD = 0.2
TASK = Task(
    id="t1", tenant="acme", task_type="DIAGNOSTIC", queue="q", spec="{}", priority=50, created_at=1, updated_at=1
).created()


class Server:
    """In place of JetStream: acknowledges everything, and forgets when it crashes."""

    def __init__(self) -> None:
        self.connection = 0
        self.answers = True
        self.published: list[str] = []
        self.asked_at = 0.0

    async def publish(self, messages: Sequence[OutgoingMessage]) -> None:
        self.asked_at = time.monotonic()
        self.published += [message.id for message in messages]

    async def lasted(self, connection: int) -> bool:
        return self.answers and connection == self.connection

    def crash(self) -> None:
        self.connection += 1
        self.published.clear()


async def nothing() -> None:
    """No streams here."""


@asynccontextmanager
async def relay(server: Server) -> AsyncIterator[OutboxRelay[Task]]:
    outbox: OutboxRelay[Task] = OutboxRelay(server, nothing, outgoing, hold=HOLD)
    loops = [asyncio.create_task(outbox.run()), asyncio.create_task(outbox.settle())]
    try:
        yield outbox
    finally:
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)


def write(outbox: OutboxRelay[Task], task: Task) -> int:
    number = outbox.begin()
    outbox.written(number, task)
    return number


async def test_an_acknowledged_event_counts_only_after_the_hold() -> None:
    server = Server()
    async with relay(server) as outbox:
        number = write(outbox, TASK)
        await outbox.drain()
        assert server.published == ["t1.1"]
        assert outbox.through == number - 1
        assert not outbox.settled
        await until(lambda: outbox.settled)
        assert outbox.through == number


async def test_an_event_is_held_for_the_whole_hold_however_slow_this_machine_is() -> None:
    server = Server()
    async with relay(server) as outbox:
        write(outbox, TASK)
        await outbox.drain()
        await until(lambda: outbox.settled, every=0.001)
        assert time.monotonic() - server.asked_at >= HOLD


async def test_nothing_counts_while_the_server_does_not_answer() -> None:
    server = Server()
    server.answers = False
    async with relay(server) as outbox:
        write(outbox, TASK)
        await nothing_happens_for(3 * HOLD, because="three times as long as anything is held")
        assert not outbox.settled
        server.answers = True
        await until(lambda: outbox.settled)


async def test_what_a_crash_took_back_is_published_again() -> None:
    server = Server()
    async with relay(server) as outbox:
        write(outbox, TASK)
        claimed = TASK.claimed("w", 2)
        write(outbox, claimed)
        await outbox.drain()
        server.crash()
        await until(lambda: outbox.settled)
        assert server.published == ["t1.1", "t1.2"]


async def test_an_occurrence_stays_in_the_document_until_it_is_safe() -> None:
    server = Server()
    async with relay(server) as outbox:
        write(outbox, TASK)
        await outbox.drain()
        claimed = TASK.claimed("w", 2)
        assert outbox.pruned(claimed) == claimed
        await until(lambda: outbox.settled)
        assert outbox.pruned(claimed) == replace(claimed, outbox=claimed.outbox[1:])


def with_webhook(task_id: str, spec: str) -> Task:
    return replace(TASK, id=task_id, spec=spec)


HOOKED = '{"common":{"webhook_url":"https://hooks.example.com/a","config":{"webhook_events":["created"]}}}'
GOOD = with_webhook("good", HOOKED)
LATER = with_webhook("later", HOOKED)
POISON = {
    "no event can be made": (replace(GOOD, id="poison", created_at=10**30).created(), []),
    "no event is text": (replace(TASK, id="poison", origin_zone="\ud800"), []),
    "no notice can be made": (with_webhook("poison", '{"common":{"webhook_url":"https://hooks.ex'), ["poison.1"]),
    "no notice holds the address": (
        with_webhook("poison", '{"common":{"webhook_url":7,"config":{"webhook_events":["created"]}}}'),
        ["poison.1"],
    ),
}


@pytest.mark.parametrize("why", POISON)
async def test_what_cannot_be_rendered_stops_nothing_else_and_is_told_and_counted_once(why: str) -> None:
    poison, still_told = POISON[why]
    server, left_out = Server(), LEFT_OUT.value()
    with capture_logs() as logs:
        async with relay(server) as outbox:
            for task in (GOOD, poison, LATER):
                write(outbox, task)
            await drained(outbox)
            assert server.published == ["good.1", "good.1.hook", *still_told, "later.1", "later.1.hook"]
            server.crash()
            await until(lambda: outbox.settled)
            assert server.published == ["good.1", "good.1.hook", *still_told, "later.1", "later.1.hook"]
            write(outbox, with_webhook("last", HOOKED))
            await drained(outbox)
    assert server.published[-2:] == ["last.1", "last.1.hook"]
    assert outbox.unrendered == 1 == LEFT_OUT.value() - left_out
    told = [entry for entry in logs if entry["event"] == "event left out"]
    assert [(entry["event_id"], entry["so_far"]) for entry in told] == [("poison.1", 1)]
    assert "hooks.ex" not in str(told)


async def drained(outbox: OutboxRelay[Task]) -> None:
    async with asyncio.timeout(5):
        await outbox.drain()


def test_whoever_takes_over_leaves_out_the_same() -> None:
    outbox: OutboxRelay[Task] = OutboxRelay(Server(), nothing, outgoing, hold=HOLD)
    page = [GOOD, POISON["no event can be made"][0], LATER]
    due = [message.id for task in page for message in outbox.messages_of(task)]
    assert due == ["good.1", "good.1.hook", "later.1", "later.1.hook"]


async def test_what_was_being_sent_when_a_fault_interrupted_is_sent_first_of_all() -> None:
    class Hanging(Server):
        def __init__(self) -> None:
            super().__init__()
            self.reached, self.hangs = asyncio.Event(), True

        async def publish(self, messages: Sequence[OutgoingMessage]) -> None:
            self.reached.set()
            if self.hangs:
                await asyncio.Event().wait()
            await super().publish(messages)

    server = Hanging()
    outbox: OutboxRelay[Task] = OutboxRelay(server, nothing, outgoing, hold=HOLD)
    write(outbox, TASK)
    interrupted = asyncio.create_task(outbox.run())
    await server.reached.wait()
    write(outbox, replace(TASK, id="t2"))
    interrupted.cancel()
    await asyncio.gather(interrupted, return_exceptions=True)
    assert (server.published, outbox.waiting) == ([], 2)
    server.hangs = False
    again = asyncio.create_task(outbox.run())
    await drained(outbox)
    assert server.published == ["t1.1", "t2.1"]
    again.cancel()
    await asyncio.gather(again, return_exceptions=True)
