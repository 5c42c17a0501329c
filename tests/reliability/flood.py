"""Clients that create tasks over HTTP, as a process of its own: `python -m tests.reliability.flood HOST PORT …`.

Prints one line of JSON: how long answers took, by status. A generator in the test's own process would measure
how long that process had its own hands full.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple, TypeAlias

import uvloop

from tests.bench.connection import Connection, connections
from tests.bench.our_side import TASKS_PATH, task_body
from tests.waiting import time_passes

Seconds: TypeAlias = dict[int, list[float]]


class RunningGenerator(NamedTuple):
    """A generator's process, and what it will have measured."""

    pid: int
    measured: asyncio.Task[Seconds]


class LoadGenerator:
    """Keeps by status how many seconds each answer took."""

    def __init__(self) -> None:
        self.seconds: defaultdict[int, list[float]] = defaultdict(list)

    async def ask(self, connection: Connection, begun: float) -> None:
        """Measured from `begun` on, when it was due."""
        status, _ = await connection.call("POST", TASKS_PATH, task_body())
        self.seconds[status].append(time.monotonic() - begun)

    async def flood(self, opened: list[Connection], until: float) -> None:
        """Each asks again as soon as it is answered, whatever the answer says."""

        async def client(connection: Connection) -> None:
            while (now := time.monotonic()) < until:
                await self.ask(connection, now)

        await asyncio.gather(*map(client, opened))

    async def pace(self, opened: list[Connection], until: float, rate: float) -> None:
        """So many a second, also while earlier ones wait for their answers."""
        due, idle = time.monotonic(), list(opened)
        asked: list[asyncio.Task[None]] = []

        async def ask(connection: Connection, begun: float) -> None:
            await self.ask(connection, begun)
            idle.append(connection)

        while due < until:
            await time_passes(due - time.monotonic(), because="the rate says when")
            asked.append(asyncio.create_task(ask(idle.pop(0), due)))
            due += 1 / rate
        await asyncio.gather(*asked)


async def _generate(given: argparse.Namespace) -> LoadGenerator:
    made, headers = LoadGenerator(), {"authorization": given.authorization}
    async with connections(given.clients, given.host, given.port, headers) as opened:
        print("connected", flush=True)
        until = time.monotonic() + given.seconds
        await (made.pace(opened, until, given.rate) if given.rate else made.flood(opened, until))
    return made


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--rate", type=float, default=0.0, help="creates a second; 0: unpaced")
    given = parser.parse_args()
    given.authorization = os.environ["AUTHORIZATION"]
    made = uvloop.run(_generate(given))
    print(json.dumps(made.seconds))


@asynccontextmanager
async def generating(
    address: tuple[str, int], headers: Mapping[str, str], clients: int, seconds: float, rate: float = 0.0
) -> AsyncIterator[RunningGenerator]:
    """Runs once the block is entered, and is waited for at its end."""
    shown = ("--clients", str(clients), "--seconds", str(seconds), "--rate", str(rate))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.reliability.flood", address[0], str(address[1]), *shown),
        env=os.environ | {"AUTHORIZATION": headers["authorization"]},
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 24,
    )
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == b"connected\n"
        measured = asyncio.create_task(_counted(process))
        yield RunningGenerator(process.pid, measured)
        await measured
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _counted(process: asyncio.subprocess.Process) -> Seconds:
    output, _ = await process.communicate()
    return {int(status): seconds for status, seconds in json.loads(output).items()}


if __name__ == "__main__":
    main()
