"""Runs the peer: redis-server, one API process, Celery with two worker processes."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from deploy.local import probes
from deploy.local.component import Component
from deploy.local.paths import ROOT, StackFolder
from deploy.local.ports import HOST, free_ports
from tests.bench import environment
from tests.bench.connection import Connection
from tests.bench.figures import CELERY, LEAN
from tests.bench.sides import PROMPT, batched
from tests.stack import running
from tests.waiting import time_passes

_ASK_EVERY_SECONDS = 0.25
_GROUP = 500
_EXTRA = {"seed": 7, "guidance": 3.5, "lora": "style-a"}
_BODY = json.dumps(
    {"type": "generate", "prompt": PROMPT, "width": 1024, "height": 1024, "steps": 28, "extra": _EXTRA}
).encode()


@dataclass(frozen=True, slots=True)
class Style:
    """How a team may run it. `lean` leaves out results and the workers' gossip, and enqueues on the event loop."""

    name: str
    lean: bool


DEFAULT_STYLE, LEAN_STYLE = Style(CELERY, lean=False), Style(LEAN, lean=True)


@dataclass(frozen=True)
class CelerySide:
    """One running peer. `poll` is how many seconds its followers wait between two looks."""

    name: str
    address: tuple[str, int]
    redis: tuple[str, int]
    pids: Mapping[str, int]
    poll: float
    headers: Mapping[str, str]

    async def submit(self, connection: Connection) -> str:
        status, answer = await connection.call("POST", "/tasks", _BODY)
        if status != 202:
            raise RuntimeError(f"the peer answered {status}: {answer[:200]!r}")
        return str(json.loads(answer)["id"])

    async def follow(self, connection: Connection) -> float:
        began = time.perf_counter()
        path = "/tasks/" + await self.submit(connection)
        accepted = time.perf_counter() - began
        while True:
            await time_passes(self.poll, because="the client of a backend without events polls")
            _, answer = await connection.call("GET", path)
            if b'"completed"' in answer:
                return accepted

    async def drain(self, ids: Collection[str], patience: float) -> None:
        left, give_up = set(ids), time.monotonic() + patience
        while left and time.monotonic() < give_up:
            await time_passes(_ASK_EVERY_SECONDS, because="Redis tells nobody")
            left -= (await self.ends(left)).keys()

    async def ends(self, ids: Collection[str]) -> dict[str, float]:
        found: dict[str, float] = {}
        for group in batched(list(ids), _GROUP):
            found |= await self._values(group, "completed_at", "task")
        return found

    async def step_times(self, steps: Sequence[str]) -> dict[str, tuple[float, float]]:
        """When each step of a workflow began and ended, of those that have; what only ends began then."""
        found: dict[str, tuple[float, float]] = {}
        for group in batched(list(steps), _GROUP):
            ended = await self._values(group, "completed_at")
            began = await self._values(group, "started_at")
            found |= {name: (began.get(name, end), end) for name, end in ended.items()}
        return found

    async def doubled(self, ids: Collection[str]) -> int:
        """Its rows do not tell."""
        return 0

    async def _values(self, names: list[str], field: str, kind: str = "step") -> dict[str, float]:
        """Redis takes plain lines as commands and answers each with a length and the value."""
        reader, writer = await asyncio.open_connection(*self.redis)
        writer.write(b"SELECT 1\r\n" + "".join(f"HGET {kind}:{name} {field}\r\n" for name in names).encode())
        await reader.readline()
        found = {}
        for name in names:
            if await reader.readline() != b"$-1\r\n":
                found[name] = float(await reader.readline())
        writer.close()
        return found


@contextmanager
def celery_side(style: Style, home: StackFolder, *, poll: float) -> Iterator[CelerySide]:
    """Raises LocalError when its environment cannot be made."""
    environment.ensure()
    redis_port, port = free_ports(2)
    variables = _variables(style, redis_port)
    with ExitStack() as stack:
        pids = {
            component.name: stack.enter_context(running(component, home)).pid
            for component in (_redis(redis_port, home), _worker(style, variables), _api(port, variables))
        }
        yield CelerySide(style.name, (HOST, port), (HOST, redis_port), pids, poll, {})


def _variables(style: Style, redis_port: int) -> dict[str, str]:
    return {
        "PYTHONPATH": str(ROOT),
        "PEER_ROWS": f"redis://{HOST}:{redis_port}/1",
        "PEER_BROKER": f"redis://{HOST}:{redis_port}/0",
        "PEER_RESULTS": "0" if style.lean else "1",
        "PEER_STYLE": "async" if style.lean else "sync",
    }


def _redis(port: int, home: StackFolder) -> Component:
    options = {"port": port, "bind": HOST, "save": "", "appendonly": "no", "dir": home.data, "loglevel": "warning"}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return Component("redis", (str(environment.redis_server()), *words), partial(_ask_redis, port), ())


def _ask_redis(port: int) -> None:
    try:
        with socket.create_connection((HOST, port), timeout=1.0) as connection:
            connection.sendall(b"PING\r\n")
            answer = connection.recv(16)
    except OSError as error:
        raise probes.NotReady(str(error)) from error
    if answer != b"+PONG\r\n":
        raise probes.NotReady(repr(answer))


def _worker(style: Style, variables: Mapping[str, str]) -> Component:
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat") if style.lean else ()
    words = ("-m", "celery", "-A", "tests.bench.peer.worker", "worker", "-P", "prefork", "-c", "2", "-l", "WARNING")
    command = (str(environment.PEER_PYTHON), *words, *quiet)
    # Ready when the first task is done: the passes begin with a warm-up.
    return Component("worker", command, lambda: None, (), variables)


def _api(port: int, variables: Mapping[str, str]) -> Component:
    words = ("-m", "uvicorn", "tests.bench.peer.app:app", "--host", HOST, "--port", str(port))
    command = (str(environment.PEER_PYTHON), *words, "--no-access-log", "--log-level", "warning")

    def probe() -> None:
        probes.ask_http(f"http://{HOST}:{port}/openapi.json")

    return Component("api", command, probe, (), variables)
