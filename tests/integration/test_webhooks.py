"""Webhooks from a task's end to a receiver on a real socket, whatever breaks in between."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import grpc
import pytest
from compute.tasks.v1 import tasks_pb2
from compute.webhooks.v1 import webhooks_pb2 as pb
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as BusError

from services.common.settings import read_settings
from services.messaging.subjects.webhooks import WEBHOOKS
from services.rpc.rpc_status import from_rpc_error
from services.webhooks import __main__ as commands
from services.webhooks.settings import WebhooksSettings
from tests.integration.tasks_host import hosting
from tests.integration.webhooks_host import TOKEN, Hooks, Receiver, hooking, publish_notice, receiving
from tests.waiting import until

AGAIN_SOON = (0.0, 0.05, 0.05)
DELIVERED, SKIPPED, DEAD, PENDING = (
    *(pb.DELIVERY_STATE_DELIVERED, pb.DELIVERY_STATE_SKIPPED, pb.DELIVERY_STATE_DEAD, pb.DELIVERY_STATE_PENDING),
)


@pytest.fixture
def database() -> str:
    return f"hooks_{uuid4().hex[:12]}"


@pytest.fixture(autouse=True)
def bus(empty_hooks: Client) -> Client:
    return empty_hooks


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def hooks(mongodb_url: str, nats_url: str, database: str, receiver: Receiver) -> AsyncIterator[Hooks]:
    async with hooking(mongodb_url, nats_url, database, receiver.port, webhook_steps_seconds=AGAIN_SOON) as hooks:
        yield hooks


async def in_state(hooks: Hooks, state: int, count: int = 1, timeout: float = 15.0) -> list[pb.Delivery]:
    async def found() -> list[pb.Delivery]:
        deliveries = await hooks.find(state=state)
        return deliveries if len(deliveries) >= count else []

    return await until(found, timeout)


async def test_the_end_of_a_task_reaches_its_webhook_signed_and_nothing_else_does(
    mongodb_url: str, nats_url: str, database: str, hooks: Hooks, receiver: Receiver
) -> None:
    async with hosting(mongodb_url, nats_url, database, webhook_allow_private=[receiver.place]) as tasks:
        silent = await tasks.create()
        request = tasks.request(payload="x")
        request.spec.webhook_url = receiver.url
        task = (await tasks.tasks.CreateTask(request, timeout=20, metadata=tasks.metadata)).task
        for name in (silent.id, task.id):
            await tasks.assign("w1", name, 1)
            await tasks.finish(name, 1)
        [received] = await receiver.wait()
        [delivery] = await in_state(hooks, DELIVERED)
    event = received.verified(await hooks.secret())
    assert (event["type"], event["subject"]) == ("atelier.task.completed.v1", task.id)
    assert event["data"]["status"] == "COMPLETED"
    assert received.headers["webhook-id"] == delivery.id
    assert received.headers["content-type"].startswith("application/cloudevents+json")
    assert received.target == "/hook?key=of-the-receiver"
    assert len(receiver.received) == 1


async def test_a_failure_is_tried_again_under_the_same_id_and_what_was_said_is_shown(
    hooks: Hooks, receiver: Receiver
) -> None:
    receiver.script = ["500 Oops", "200 OK"]
    await hooks.notice(receiver.url)
    first, second = await receiver.wait(2)
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    [delivery] = await in_state(hooks, DELIVERED)
    assert [(item.http_status, item.error) for item in delivery.history] == [(500, "answered 500: said"), (200, "")]


async def test_after_the_last_step_it_is_a_dead_letter_that_the_command_replays(
    hooks: Hooks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    receiver.script = ["500 Oops"]
    for _ in range(2):
        await hooks.notice(receiver.url)
    dead = await in_state(hooks, DEAD, 2)
    assert {item.attempts for item in dead} == {len(AGAIN_SOON)}
    receiver.script = ["200 OK"]
    printed = await command(monkeypatch, hooks, "replay", "--dead", "--tenant", "acme")
    assert {line.split("\t")[0] for line in printed.splitlines()} == {item.id for item in dead}
    await in_state(hooks, DELIVERED, 2)
    await command(monkeypatch, hooks, "replay", dead[0].id)
    await receiver.wait(9)
    assert "DELIVERED" in await command(monkeypatch, hooks, "list", "--tenant", "acme")


async def test_a_redirect_is_not_followed_and_counts_as_a_failure(hooks: Hooks, receiver: Receiver) -> None:
    async with receiving() as trap:
        receiver.script = [f"307 Elsewhere\r\nLocation: http://hooks.example.com:{trap.port}/", "200 OK"]
        await hooks.notice(receiver.url)
        [delivery] = await in_state(hooks, DELIVERED)
        assert [item.http_status for item in delivery.history] == [307, 200]
        assert trap.received == []


async def test_an_address_that_is_gone_is_skipped_until_it_is_enabled(hooks: Hooks, receiver: Receiver) -> None:
    receiver.script = ["410 Gone", "200 OK"]
    await hooks.notice(receiver.url)
    await in_state(hooks, SKIPPED)
    await hooks.notice(receiver.url)
    skipped = await in_state(hooks, SKIPPED, 2)
    assert all("410" in item.reason for item in skipped) and len(receiver.received) == 1
    await hooks.enable(receiver.url)
    await hooks.replay(skipped[0].id)
    await in_state(hooks, DELIVERED)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await hooks.enable(receiver.url)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{port}/", "http://inward.example.com:{port}/", "http://[::1]:{port}/"]
)
async def test_an_inward_address_is_never_called(hooks: Hooks, receiver: Receiver, url: str) -> None:
    """A name is judged when it is called: it may mean something else by then."""
    await hooks.notice(url.format(port=receiver.port))
    [delivery] = await in_state(hooks, DEAD)
    assert delivery.reason.startswith("URL_NOT_ALLOWED")
    assert receiver.received == []


async def test_a_receiver_that_never_answers_is_given_up(hooks: Hooks, receiver: Receiver) -> None:
    receiver.hold = asyncio.Event()
    await hooks.notice(receiver.url)
    [delivery] = await in_state(hooks, DEAD)
    assert delivery.reason.startswith("URL_UNAVAILABLE")
    assert all(0.9 < item.duration_seconds < 5 for item in delivery.history)
    receiver.hold.set()


@pytest.mark.field("44")
@pytest.mark.parametrize("content_type", ["application/json", "application/cloudevents+json"])
async def test_a_call_says_the_content_type_that_the_task_chose_and_is_signed_all_the_same(
    mongodb_url: str, nats_url: str, database: str, hooks: Hooks, receiver: Receiver, content_type: str
) -> None:
    async with hosting(mongodb_url, nats_url, database, webhook_allow_private=[receiver.place]) as tasks:
        request = tasks.request(payload="x")
        request.spec.webhook_url = receiver.url
        request.spec.config.update({"webhook_content_type": content_type})
        task = (await tasks.tasks.CreateTask(request, timeout=20, metadata=tasks.metadata)).task
        await tasks.assign("w1", task.id, 1)
        await tasks.finish(task.id, 1)
        [received] = await receiver.wait()
    told = received.headers["content-type"]
    assert told == content_type if content_type == "application/json" else told.startswith(content_type)
    assert received.verified(await hooks.secret())["subject"] == task.id


@pytest.mark.field("deleted-task-called")
async def test_what_waits_for_a_deleted_task_is_called_no_more_and_says_so(
    mongodb_url: str, nats_url: str, database: str, receiver: Receiver
) -> None:
    receiver.script = ["500 Oops"]
    steps = (0.0, 2.0, 2.0, 2.0)
    async with (
        hooking(mongodb_url, nats_url, database, receiver.port, webhook_steps_seconds=steps) as hooks,
        hosting(mongodb_url, nats_url, database, webhook_allow_private=[receiver.place]) as tasks,
    ):
        made = []
        for _ in range(2):
            request = tasks.request(payload="x")
            request.spec.webhook_url = receiver.url
            task = (await tasks.tasks.CreateTask(request, timeout=20, metadata=tasks.metadata)).task
            await tasks.assign("w1", task.id, 1)
            await tasks.finish(task.id, 1)
            made.append(task.id)
        await receiver.wait(2)
        deleted, kept = made
        await tasks.tasks.DeleteTask(tasks_pb2.DeleteTaskRequest(task_id=deleted), timeout=20, metadata=tasks.metadata)
        [delivery] = await in_state(hooks, SKIPPED)
        assert (delivery.task_id, delivery.reason) == (deleted, "the task was deleted")
        calls = len(receiver.received)
        await receiver.wait(calls + 1)
        assert {item.verified(await hooks.secret())["subject"] for item in receiver.received[calls:]} == {kept}
        assert [item.task_id for item in await hooks.find(state=SKIPPED)] == [deleted]


async def test_what_is_being_sent_when_its_task_is_deleted_is_not_sent_again(
    mongodb_url: str, nats_url: str, database: str, receiver: Receiver
) -> None:
    receiver.hold = asyncio.Event()
    steps = (0.0, 60.0)
    async with hooking(mongodb_url, nats_url, database, receiver.port, webhook_steps_seconds=steps) as hooks:
        event = await hooks.notice(receiver.url)
        await receiver.wait()
        await hooks.notice(receiver.url, event=f"{event.partition('.')[0]}.4", task_deleted=True)
        [delivery] = await in_state(hooks, SKIPPED)
    assert (delivery.reason, len(delivery.history)) == ("the task was deleted", 1)
    receiver.hold.set()


@pytest.mark.field("replay-after-deletion")
@pytest.mark.parametrize(("script", "before", "after"), [("200 OK", DELIVERED, DELIVERED), ("500 Oops", DEAD, SKIPPED)])
async def test_nothing_is_replayed_for_a_task_that_was_deleted(
    hooks: Hooks, receiver: Receiver, bus: Client, script: str, before: int, after: int
) -> None:
    receiver.script = [script]
    event = await hooks.notice(receiver.url)
    [delivery] = await in_state(hooks, before)
    await hooks.notice(receiver.url, event=f"{event.partition('.')[0]}.4", task_deleted=True)
    await until(lambda: nothing_left(bus))
    calls = len(receiver.received)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await hooks.replay(delivery.id)
    assert (caught.value.code(), from_rpc_error(caught.value).reason) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "TASK_DELETED",
    )
    [kept] = await hooks.find()
    assert (kept.state, len(receiver.received)) == (after, calls)
    assert kept.history == delivery.history


async def test_the_deletion_itself_is_still_told_to_who_wants_to_hear_of_it(hooks: Hooks, receiver: Receiver) -> None:
    event = await hooks.notice(receiver.url, task_deleted=True, body=b"{}", event_type="atelier.task.deleted.v1")
    [delivery] = await in_state(hooks, DELIVERED)
    assert (delivery.event_id, len(receiver.received)) == (event, 1)


async def test_a_receiver_on_this_machine_is_called_where_the_setting_says_so(
    mongodb_url: str, nats_url: str, database: str, receiver: Receiver
) -> None:
    url = f"http://localhost:{receiver.port}/hook"
    async with (
        hooking(mongodb_url, nats_url, database, webhook_allow_loopback=True) as hooks,
        hosting(mongodb_url, nats_url, database, webhook_allow_loopback=True) as tasks,
    ):
        request = tasks.request(payload="x")
        request.spec.webhook_url = url
        task = (await tasks.tasks.CreateTask(request, timeout=20, metadata=tasks.metadata)).task
        await tasks.assign("w1", task.id, 1)
        await tasks.finish(task.id, 1)
        await receiver.wait()
        [delivery] = await in_state(hooks, DELIVERED)
        assert delivery.url == url


async def test_a_long_answer_is_not_kept(hooks: Hooks, receiver: Receiver) -> None:
    receiver.script = [f"500 Oops\r\nX: {'y' * 2_000}\r\n\r\n{'z' * 5_000}"]
    await hooks.notice(receiver.url)
    [delivery] = await in_state(hooks, DEAD)
    assert len(delivery.reason) < 250


async def test_a_notice_recorded_but_not_acknowledged_is_one_delivery(
    mongodb_url: str, nats_url: str, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    acknowledge, lost = Msg.ack, asyncio.Event()

    async def lose_the_first(message: Msg) -> None:
        if message.subject.startswith("webhooks.") and not lost.is_set():
            lost.set()
            raise BusError
        await acknowledge(message)

    monkeypatch.setattr(Msg, "ack", lose_the_first)
    async with hooking(mongodb_url, nats_url, database, receiver.port, webhook_ack_seconds=0.5) as hooks:
        await hooks.notice(receiver.url)
        await receiver.wait()
        await until(lambda: nothing_left(hooks.bus))
        assert lost.is_set() and len(await hooks.find()) == 1
        await in_state(hooks, DELIVERED)
    assert len(receiver.received) == 1


async def test_a_notice_that_comes_twice_is_one_delivery_and_one_that_cannot_be_read_is_dropped(
    hooks: Hooks, receiver: Receiver
) -> None:
    event = await hooks.notice(receiver.url)
    await hooks.notice(receiver.url, event=event)
    await hooks.bus.jetstream().publish("webhooks.v1.acme", b"\xff\xff")
    await until(lambda: nothing_left(hooks.bus))
    await in_state(hooks, DELIVERED)
    assert len(receiver.received) == 1 and len(await hooks.find()) == 1


async def test_of_two_replicas_one_sends_and_the_other_takes_over(
    mongodb_url: str, nats_url: str, database: str, receiver: Receiver
) -> None:
    async with hooking(mongodb_url, nats_url, database, receiver.port) as second:
        async with hooking(mongodb_url, nats_url, database, receiver.port) as first:
            for _ in range(20):
                await first.notice(receiver.url)
            await in_state(second, DELIVERED, 20)
        await second.notice(receiver.url)
        await in_state(second, DELIVERED, 21)
    assert len(receiver.received) == len({item.headers["webhook-id"] for item in receiver.received}) == 21


async def test_a_process_killed_while_it_sends_is_succeeded_by_one_that_sends_again_under_the_same_id(
    mongodb_url: str, nats_url: str, database: str, receiver: Receiver, bus: Client
) -> None:
    """And what waited for a later step is resumed."""
    url = f"http://127.0.0.1:{receiver.port}/"
    receiver.script = ["500 Oops", "200 OK"]
    given = {"MONGODB_URL": mongodb_url, "MONGODB_DATABASE": database, "NATS_URL": nats_url}
    given |= {"WEBHOOK_ALLOW_PRIVATE": f"127.0.0.1:{receiver.port}", "WEBHOOK_STEPS_SECONDS": "0,3,3"}
    given |= {"WEBHOOK_TIMEOUT_SECONDS": "1", "WEBHOOK_MARGIN_SECONDS": "0.5"}
    async with process(given) as killed:
        await publish_notice(bus, url)
        await receiver.wait(1)
        receiver.hold = asyncio.Event()
        await publish_notice(bus, url)
        await receiver.wait(2)
        killed.send_signal(signal.SIGKILL)
        await killed.wait()
        receiver.hold.set()
    async with hooking(
        mongodb_url, nats_url, database, webhook_allow_private=[f"127.0.0.1:{receiver.port}"]
    ) as successor:
        await in_state(successor, DELIVERED, 2)
    waited, sent, *again = (item.headers["webhook-id"] for item in receiver.received)
    assert sorted(again) == sorted([waited, sent])


async def test_a_rotated_secret_signs_beside_the_former_one(
    hooks: Hooks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await hooks.secret()
    new = await command(monkeypatch, hooks, "secret", "acme", "--rotate")
    assert new != old and await command(monkeypatch, hooks, "secret", "acme") == new == await hooks.secret()
    await hooks.notice(receiver.url)
    [received] = await receiver.wait()
    assert received.verified(old) == received.verified(new) == json.loads(received.body)


async def test_a_tenant_sees_its_own_deliveries_only(hooks: Hooks, receiver: Receiver) -> None:
    await hooks.notice(receiver.url, tenant="rival")
    await hooks.notice(receiver.url)
    await receiver.wait(2)
    [own] = await in_state(hooks, DELIVERED)
    assert own.tenant == "acme"
    assert await hooks.find(task_id=own.task_id, url=receiver.url) == [own]
    assert await hooks.find(task_id="another") == await hooks.find(state=PENDING) == []


async def nothing_left(bus: Client) -> bool:
    return (await bus.jetstream().stream_info(WEBHOOKS)).state.messages == 0


async def command(monkeypatch: pytest.MonkeyPatch, hooks: Hooks, *arguments: str) -> str:
    monkeypatch.setenv("INTERNAL_TOKEN", TOKEN)
    monkeypatch.setenv("WEBHOOKS_TARGET", hooks.target)
    return await commands.run(commands.read_arguments(list(arguments)), read_settings(WebhooksSettings))


@asynccontextmanager
async def process(environment: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """The service as it is deployed, in a process that can be killed."""
    command = (sys.executable, "-m", "services.host", "webhooks")
    given = {**os.environ, **environment, "INTERNAL_TOKEN": TOKEN}
    running = await asyncio.create_subprocess_exec(*command, env=given)
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
