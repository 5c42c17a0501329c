"""Runs Atelier's task path for the bench: NATS, store, tasks, storage, worker and gateway; no model server."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection
from nats.aio.client import Client

from deploy.local import access, probes
from deploy.local.component import Component
from deploy.local.paths import StackFolder
from deploy.local.settings import ExternalServers, Ports, ProcessLayout
from deploy.local.stack import Stack
from services.messaging.subjects.tasks import EVENTS
from tests.bench.connection import Connection
from tests.bench.figures import OURS, TOGETHER
from tests.bench.sides import PROMPT, batched
from tests.nats_server import connected
from tests.waiting import time_passes

Tasks: TypeAlias = "AsyncIOMotorCollection[dict[str, Any]]"
_ASK_EVERY_SECONDS = 0.25
_GROUP = 500
TASKS_PATH = "/api/v1/tasks/"
_PARAMS = {"prompt": PROMPT, "width": 1024, "height": 1024, "steps": 28, "guidance": 3.5, "lora": "style-a"}
_seeds = itertools.count()
_PARTS = ("nats", "mongodb", "tasks", "storage", "inference", "gateway", "atelier")
# No task here draws anything, so as many may run at once as the peer would prefetch and more.
SLOTS = 1_024
_WORKERS = ("inference", "atelier")
_ROLES = {"mongodb": "store", "inference": "worker"}


@dataclass(frozen=True)
class OurSide:
    """One running stack of ours."""

    address: tuple[str, int]
    headers: Mapping[str, str]
    pids: Mapping[str, int]
    mongodb_url: str
    nats_url: str
    nats_credentials: str
    environment: Mapping[str, str]
    name: str = OURS

    def headers_of(self, tenant: str) -> dict[str, str]:
        """As `headers`, of another tenant's new key."""
        return {"authorization": f"Bearer {access.create_key(self.environment, tenant, 'bench')}"}

    async def submit(self, connection: Connection) -> str:
        status, answer = await connection.call("POST", TASKS_PATH, task_body())
        if status not in (200, 201, 202):
            raise RuntimeError(f"the gateway answered {status}: {answer[:200]!r}")
        return str(json.loads(answer)["id"])

    async def follow(self, connection: Connection) -> None:
        status, answer = await connection.call("POST", TASKS_PATH, task_body(), b"prefer: wait=5\r\n")
        if status not in (200, 201, 202) or b'"COMPLETED"' not in answer:
            raise RuntimeError(f"not done within 5 s: {status}: {answer[:200]!r}")

    async def drain(self, ids: Collection[str], patience: float) -> None:
        """Their events included: the relay may lag behind the tasks, and its work is part of the cost."""
        give_up = time.monotonic() + patience
        async with self._tasks() as tasks, self._bus() as bus:
            while await _any_left(tasks) and time.monotonic() < give_up:
                await time_passes(_ASK_EVERY_SECONDS, because="no event of ours, which would cost")
            before = -1
            while before != (now := (await bus.jetstream().stream_info(EVENTS)).state.messages):
                before = now
                await time_passes(2 * _ASK_EVERY_SECONDS, because="the relay is through when nothing came for so long")

    async def ends(self, ids: Collection[str]) -> dict[str, float]:
        found: dict[str, float] = {}
        async with self._tasks() as tasks:
            for group in batched(list(ids), _GROUP):
                for document in await tasks.find({"_id": {"$in": group}}).to_list(_GROUP):
                    if document["state"] == "COMPLETED":
                        found[document["_id"]] = document["completed_at"] / 1e6
        return found

    async def doubled(self, ids: Collection[str]) -> int:
        """Counted in the event stream, where every ending is a message under the task's own subject."""
        async with self._bus() as bus:
            info = await bus.jetstream().stream_info(EVENTS, subjects_filter="evt.v1.*.task.*.completed")
        counts, wanted = info.state.subjects or {}, set(ids)
        return sum(count > 1 for subject, count in counts.items() if subject.split(".")[4] in wanted)

    @asynccontextmanager
    async def _tasks(self) -> AsyncIterator[Tasks]:
        client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(self.mongodb_url)
        try:
            yield client["atelier"]["tasks"]
        finally:
            client.close()

    @asynccontextmanager
    async def _bus(self) -> AsyncIterator[Client]:
        client = await connected(self.nats_url, self.nats_credentials)
        try:
            yield client
        finally:
            await client.close()


@contextmanager
def our_side(
    home: StackFolder, layout: ProcessLayout = ProcessLayout.APART, *, slots: int = SLOTS
) -> Iterator[OurSide]:
    """On free ports, with its data below `home`; its worker runs as many tasks at once. Raises LocalError."""
    given = {**os.environ, "ATELIER_LAYOUT": layout}
    stack = Stack(home, Ports.free(), ExternalServers(), given=given, only=_PARTS)
    stack.components = [_fitted(component, stack.addresses.gateway_url, slots) for component in stack.components]
    with stack:
        parts = urlsplit(stack.addresses.gateway_url)
        yield OurSide(
            address=(parts.hostname or "", parts.port or 0),
            headers={"authorization": f"Bearer {stack.api_key}"},
            pids={
                _ROLES.get(name, name): supervisor.child.pid
                for name, supervisor in stack.supervisors.items()
                if supervisor.child
            },
            mongodb_url=stack.addresses.mongodb_url,
            nats_url=stack.addresses.nats_url,
            nats_credentials=stack.environment["NATS_CREDENTIALS"],
            environment=stack.environment,
            name=OURS if layout is ProcessLayout.APART else TOGETHER,
        )


def task_body() -> bytes:
    """Never the same twice, as in life: nothing may be remembered from the task before."""
    payload = json.dumps(_PARAMS | {"seed": next(_seeds)})
    wanted = {"task_type": "DIAGNOSTIC", "origin_instance": "bench", "payload": payload, "duration_ms": 0}
    return json.dumps(wanted).encode()


def _fitted(component: Component, url: str, slots: int) -> Component:
    if component.name not in _WORKERS:
        return component
    # Without models it never calls itself ready; the warm-up shows that it works.
    variables = {**component.environment, "WORKER_CAPACITY": str(slots)}

    def probe() -> None:
        if component.name != "inference":
            probes.ask_http(f"{url}/asyncapi.json")

    return replace(component, environment=variables, probe=probe)


async def _any_left(tasks: Tasks) -> bool:
    """In this order a task that moves on between the two looks is seen by the second."""
    for state in ("PENDING", "EXECUTING"):
        if await tasks.find_one({"state": state}) is not None:
            return True
    return False
