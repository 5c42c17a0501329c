"""Events as strangers read them: the official CloudEvents SDKs of Go and JavaScript, on the stream and by webhook."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import nats
import pytest
from compute.webhooks.v1 import webhooks_pb2 as pb
from nats.js.api import ConsumerConfig, DeliverPolicy
from nats.js.client import JetStreamContext

from tests.clients.customer import Customer, drawing
from tests.clients.test_node_clients import run
from tests.clients.toolchains import go_program
from tests.nats_server import connected
from tests.stack import RunningStack


def draw(customer: Customer) -> str:
    """The id of a task that is finished."""
    headers = {"Authorization": customer.authorization, "Prefer": "wait=60"}
    answer = httpx2.post(customer.tasks, json=drawing("events"), headers=headers, timeout=60).raise_for_status()
    assert answer.json()["status"] == "COMPLETED", answer.text
    return str(answer.json()["id"])


@pytest.fixture
async def events(stack: RunningStack, customer: Customer) -> list[bytes]:
    """What the stream holds of a task, looked at as a service."""
    bus = await connected(stack.addresses.nats_url, stack.nats_credentials)
    begin = ConsumerConfig(deliver_policy=DeliverPolicy.ALL)
    task_id = await asyncio.to_thread(draw, customer)
    try:
        found = await bus.jetstream().pull_subscribe(f"evt.v1.*.task.{task_id}.*", stream="EVENTS", config=begin)
        return await _read(found, task_id)
    finally:
        await bus.close()


async def _read(pull: JetStreamContext.PullSubscription, task_id: str) -> list[bytes]:
    """Acknowledges what it reads, that of other tasks too."""
    read: list[bytes] = []
    while not read or json.loads(read[-1])["type"] != "atelier.task.completed.v1":
        for message in await pull.fetch(10, timeout=20):
            await message.ack()
            if json.loads(message.data)["subject"] == task_id:
                read.append(message.data)
    return read


@pytest.fixture(scope="module")
def reader() -> Path:
    return go_program("events")


async def test_a_tenant_reads_its_durable_with_the_client_of_nats(
    stack: RunningStack, customer: Customer, events_credentials: Path
) -> None:
    """As docs/events.md has it."""
    task_id = await asyncio.to_thread(draw, customer)
    client = await nats.connect(stack.addresses.nats_url, user_credentials=str(events_credentials))
    try:
        pull = await client.jetstream(domain="atelier").pull_subscribe("", durable="tenant-demo", stream="EVENTS")
        types = [json.loads(event)["type"] for event in await _read(pull, task_id)]
    finally:
        await client.close()
    assert types[0] == "atelier.task.created.v1" and types[-1] == "atelier.task.completed.v1"


def test_the_go_sdk_takes_every_event_of_a_task(
    reader: Path, customer: Customer, child_environment: dict[str, str]
) -> None:
    drawn = draw(customer)
    done = subprocess.run(
        [str(reader)], env={**child_environment, "TASK_ID": drawn}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    kinds = [line.split()[0] for line in done.stdout.splitlines()]
    assert kinds[0] == "atelier.task.created.v1" and kinds[-1] == "atelier.task.completed.v1"
    assert {line.split()[1] for line in done.stdout.splitlines()} == {drawn}


async def test_the_javascript_sdk_takes_every_event_of_a_task(
    events: list[bytes], node: str, scripts: Path, child_environment: dict[str, str]
) -> None:
    sent = "".join(f"{event.decode()}\n" for event in events)
    types = json.loads(run(node, scripts, "cloudevents.mjs", child_environment, sent=sent))
    assert types == [json.loads(event)["type"] for event in events]


async def test_the_javascript_sdks_take_a_webhook(
    stack: RunningStack,
    customer: Customer,
    events: list[bytes],
    hook_port: int,
    node: str,
    scripts: Path,
    child_environment: dict[str, str],
) -> None:
    """The last event of the task, told as the relay tells it; an address of this machine cannot be named in a task."""
    secret = _secret(customer)
    environment = {**child_environment, "PORT": str(hook_port), "WEBHOOK_SECRET": secret}
    receiver = await asyncio.create_subprocess_exec(
        node, "webhook.mjs", cwd=scripts, env=environment, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert receiver.stdout is not None
        assert await receiver.stdout.readline() == b"listening\n"
        await _notify(stack, events[-1], f"http://127.0.0.1:{hook_port}/")
        told = await asyncio.wait_for(receiver.stdout.readline(), 20)
    finally:
        with contextlib.suppress(ProcessLookupError):
            receiver.kill()
        await receiver.wait()
    last: dict[str, Any] = json.loads(events[-1])
    assert json.loads(told) == {"type": last["type"], "subject": last["subject"], "status": "COMPLETED"}


def _secret(customer: Customer) -> str:
    headers = {"Authorization": customer.authorization}
    answer = httpx2.get(f"{customer.url}/api/v1/webhooks/secret", headers=headers, timeout=10).raise_for_status()
    return str(answer.json()["current"])


async def _notify(stack: RunningStack, event: bytes, url: str) -> None:
    read = json.loads(event)
    notice = pb.Notice(
        tenant=read["tenant"],
        task_id=read["subject"],
        event_id=read["id"],
        event_type=read["type"],
        url=url,
        body=event,
    )
    bus = await connected(stack.addresses.nats_url, stack.nats_credentials)
    try:
        await bus.jetstream().publish(f"webhooks.v1.{read['tenant']}", notice.SerializeToString())
    finally:
        await bus.close()
