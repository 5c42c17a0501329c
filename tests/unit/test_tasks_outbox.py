"""The relay's promise: an event counts as published when a crash of NATS can no longer take it back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from services.common.bus import Outgoing
from services.tasks.domain import Task
from services.tasks.outbox import Outbox

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

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        self.published += [message.id for message in messages]

    async def lasted(self, connection: int) -> bool:
        return self.answers and connection == self.connection

    def crash(self) -> None:
        self.connection += 1
        self.published.clear()


@asynccontextmanager
async def relay(server: Server) -> AsyncIterator[Outbox]:
    async def nothing() -> None:
        """No streams here."""

    outbox = Outbox(server, nothing, hold=HOLD)  # type: ignore[arg-type]  # a fake
    loops = [asyncio.create_task(outbox.run()), asyncio.create_task(outbox.settle())]
    try:
        yield outbox
    finally:
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)


def write(outbox: Outbox, task: Task) -> int:
    number = outbox.begin()
    outbox.written(number, task)
    return number


async def until(seen: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not seen():  # noqa: ASYNC110  # the relay's own timer decides
            await asyncio.sleep(HOLD / 10)


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


async def test_nothing_counts_while_the_server_does_not_answer() -> None:
    server = Server()
    server.answers = False
    async with relay(server) as outbox:
        write(outbox, TASK)
        await asyncio.sleep(3 * HOLD)
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
