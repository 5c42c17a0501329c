"""Workflows on the whole system while its processes are killed: each step is done once, and what was accepted ends."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from nats.js.errors import NotFoundError

from deploy.local import access
from services.messaging.subjects.steps import STEPS
from tests.crash.flows import CHAIN, WIDTH, WORKFLOWS, steps
from tests.nats_server import connected
from tests.stack import RunningStack
from tests.waiting import time_passes, until

KILLED = ("tasks", "inference", "nats", "tasks", "mongodb", "gateway")
FLOWS = 6
SECONDS = 150.0


@pytest.fixture
async def http(stack: RunningStack) -> AsyncIterator[httpx2.AsyncClient]:
    key = access.create_key(stack.environment, "flows", "reliability")
    headers = {"authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(base_url=stack.base_url, headers=headers, timeout=30) as client:
        yield client
    await asyncio.to_thread(stack.wait_recovered)


async def ask(http: httpx2.AsyncClient, method: str, path: str, **more: Any) -> Any:
    """The answer once there is one: what is killed is away for a while. None for a refusal that may pass."""
    try:
        answer = await http.request(method, path, **more)
    except httpx2.TransportError:
        return None
    return answer.json() if answer.status_code == 200 else None


async def made(http: httpx2.AsyncClient, name: str) -> str:
    body = {"name": name, "origin_instance": "reliability", "steps": steps(name)}
    found = await until(lambda: ask(http, "POST", WORKFLOWS, json=body), timeout=60, every=0.5)
    return str(found["id"])


async def done(http: httpx2.AsyncClient, workflow_id: str) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        found = await ask(http, "GET", WORKFLOWS + workflow_id)
        return found if found is not None and found["status"] not in ("PENDING", "RUNNING") else None

    found: dict[str, Any] = await until(look, timeout=SECONDS, every=0.5)
    return found


@pytest.mark.timeout(400)
async def test_whatever_is_killed_every_workflow_ends_and_every_step_has_one_result(
    http: httpx2.AsyncClient, stack: RunningStack
) -> None:
    rng, names = random.Random(1), [f"w{number}" for number in range(FLOWS)]
    ids = [await made(http, name) for name in names]
    for name in KILLED:
        await time_passes(rng.uniform(0.5, 2.0), because="a kill comes at some moment of a workflow's life")
        stack.kill(name)
        await asyncio.to_thread(stack.wait_ready, name)
    found = [await done(http, workflow_id) for workflow_id in ids]
    assert Counter(one["status"] for one in found) == {"COMPLETED": FLOWS}, [one["errors"] for one in found]
    for name, one in zip(names, found, strict=True):
        assert one["final_step_result"] == {"payload": ",".join(f"{name}-{number}" for number in range(WIDTH))}
        assert {step["result"]["payload"] for step in one["steps"][:CHAIN]} == {name}
    listed = await ask(http, "GET", "/api/v1/tasks/?origin_instance=reliability&limit=1000")
    made_for = Counter(task["workflow_id"] for task in listed if "workflow_id" in task)
    assert len(listed) == FLOWS * (CHAIN + WIDTH + 1), "as many tasks as steps and slots, and none twice"
    assert not made_for or set(made_for.values()) == {CHAIN + WIDTH + 1}
    assert {task["status"] for task in listed} == {"COMPLETED"}


@pytest.mark.timeout(200)
async def test_a_workflow_goes_on_though_its_notices_stream_is_deleted(
    http: httpx2.AsyncClient, stack: RunningStack
) -> None:
    workflow_id = await made(http, "deleted")
    bus = await connected(stack.addresses.nats_url, stack.nats_credentials)
    try:
        for _ in range(3):
            await time_passes(0.5, because="the stream goes in the middle of the workflow")
            try:
                await bus.jsm().delete_stream(STEPS)
            except NotFoundError:
                continue  # nobody has made it anew yet
    finally:
        await bus.close()
    found = await done(http, workflow_id)
    assert found["status"] == "COMPLETED", json.dumps(found["errors"])
