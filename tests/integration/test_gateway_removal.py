"""Deleting and cleaning up tasks over HTTP, on the real services."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from motor.motor_asyncio import AsyncIOMotorClient
from PIL import Image

from services.clients.storage_client import StorageClient
from services.rpc.grpc_client import Credentials
from tests.integration.gateway_host import IMAGES, TASKS, TOKEN, Stack, generation, stack
from tests.nats_server import connected
from tests.waiting import time_passes, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(mongodb_url: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with stack(mongodb_url, nats_url, tmp_path_factory.mktemp("objects")) as made:
        yield made


def png(colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), colour).save(buffer, "PNG")
    return buffer.getvalue()


async def finished(api: Stack, **fields: Any) -> dict[str, Any]:
    """A task whose picture is in storage."""
    task = await api.create(**fields)
    storage = StorageClient(api.channel, Credentials(TOKEN))
    await storage.upload(f"generations/{task['id']}/picture.png", png(), tenant="acme", result=True)
    await api.finish(task["id"])
    return dict((await api.http.get(f"{TASKS}{task['id']}")).json())


async def document(mongodb_url: str, task_id: str) -> dict[str, Any] | None:
    """Wherever a task is stored, in any of this server's databases."""
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(mongodb_url)
    try:
        for name in await client.list_database_names():
            if name.startswith("gateway_") and (found := await client[name]["tasks"].find_one({"_id": task_id})):
                return found
        return None
    finally:
        client.close()


async def test_a_deleted_task_is_answered_once_and_then_gone_with_its_pictures(api: Stack, mongodb_url: str) -> None:
    picture = base64.b64encode(png("blue")).decode()
    task = await finished(api, reference_image_data=picture, origin_zone=(zone := uuid4().hex))
    paths = [task["result_image_path"], task["reference_image_path"]]
    assert [(await api.http.get(f"{IMAGES}/{path}")).status_code for path in paths] == [200, 200]
    answer = await api.http.delete(f"{TASKS}{task['id']}")
    assert (answer.status_code, answer.json()) == (200, task)
    assert [(await api.http.get(f"{IMAGES}/{path}")).status_code for path in paths] == [404, 404]
    for method, path in (("GET", ""), ("DELETE", ""), ("PUT", ""), ("POST", "/cancel"), ("POST", "/cleanup")):
        again = await api.http.request(method, f"{TASKS}{task['id']}{path}", json={} if method == "PUT" else None)
        assert (again.status_code, again.json()["reason"]) == (404, "TASK_NOT_FOUND"), method
    assert (await api.http.get(TASKS, params={"origin_zone": zone})).json() == []

    async def gone() -> bool:
        return await document(mongodb_url, task["id"]) is None

    await until(gone)


async def test_a_cleaned_task_stays_and_says_that_its_files_are_gone(api: Stack) -> None:
    task = await finished(api, origin_zone=(zone := uuid4().hex))
    assert (task["is_deleted"], task["deleted_at"]) == (False, None)
    answer = await api.http.post(f"{TASKS}{task['id']}/cleanup")
    done = answer.json()
    assert (answer.status_code, done["task_id"], done["status"]) == (200, task["id"], "COMPLETED")
    assert (done["is_deleted"], done["deleted_paths"], done["errors"]) == (True, [task["result_image_path"]], [])
    shown = (await api.http.get(f"{TASKS}{task['id']}")).json()
    assert (shown["is_deleted"], shown["deleted_at"]) == (True, done["deleted_at"])
    assert shown["prompt"] == task["prompt"] and shown["completed_at"] == task["completed_at"]
    assert (await api.http.get(f"{IMAGES}/{task['result_image_path']}")).status_code == 404
    with_it = await api.http.get(TASKS, params={"origin_zone": zone, "include_deleted": True})
    assert [item["id"] for item in with_it.json()] == [task["id"]]
    again = (await api.http.post(f"{TASKS}{task['id']}/cleanup")).json()
    assert (again["deleted_at"], again["deleted_paths"]) == (done["deleted_at"], [])
    assert (await api.http.delete(f"{TASKS}{task['id']}")).status_code == 200
    assert (await api.http.get(f"{TASKS}{task['id']}")).status_code == 404


async def test_a_filter_deletes_cleaned_tasks_too(api: Stack) -> None:
    task = await finished(api, origin_zone=(zone := uuid4().hex))
    await api.http.post(f"{TASKS}{task['id']}/cleanup")
    answer = await api.http.post(f"{TASKS}delete", json={"filter": {"origin_zone": zone}})
    assert [(item["id"], item["status"]) for item in answer.json()["items"]] == [(task["id"], 200)]
    assert (await api.http.get(f"{TASKS}{task['id']}")).status_code == 404


async def test_a_running_task_is_cancelled_and_deleted_and_its_events_say_so(api: Stack, nats_url: str) -> None:
    task = await api.create()
    async with await connected(nats_url) as bus:
        stream = await bus.jetstream().subscribe(f"evt.v1.acme.task.{task['id']}.*", ordered_consumer=True)
        orders = await bus.subscribe("control.v1.cancel")
        await bus.flush()
        await api.assign(task["id"])
        answer = await api.http.delete(f"{TASKS}{task['id']}")
        assert answer.json()["status"] == "CANCELLED"
        assert task["id"].encode() in (await orders.next_msg(timeout=5)).data
        heard = [json.loads((await stream.next_msg(timeout=30)).data) for _ in range(4)]
    assert [event["type"].split(".")[2] for event in heard] == ["created", "executing", "cancelled", "deleted"]
    assert heard[3]["data"]["completed_at"] == heard[2]["data"]["completed_at"]


async def test_the_pictures_of_a_neighbour_with_the_same_content_stay(api: Stack) -> None:
    picture = base64.b64encode(png("green")).decode()
    first, second = [await finished(api, reference_image_data=picture) for _ in range(2)]
    await api.http.delete(f"{TASKS}{first['id']}")
    for path in (second["reference_image_path"], second["result_image_path"]):
        assert (await api.http.get(f"{IMAGES}/{path}")).status_code == 200


async def test_a_key_whose_task_was_deleted_is_spent_for_good(api: Stack, mongodb_url: str) -> None:
    headers = {"idempotency-key": uuid4().hex}
    body = generation(reference_image_data=base64.b64encode(png("navy")).decode())
    first, second = [(await api.http.post(TASKS, json=body, headers=headers)).json() for _ in range(2)]
    assert first == second
    await api.http.delete(f"{TASKS}{first['id']}")

    async def bare() -> bool:
        return "relay" not in (await document(mongodb_url, first["id"]) or {"relay": 1})

    for _ in range(2):
        refused = await api.http.post(TASKS, json=body, headers=headers)
        assert (refused.status_code, refused.json()["reason"]) == (422, "IDEMPOTENCY_KEY_SPENT")
        await until(bare)
    left = await document(mongodb_url, first["id"])
    assert left is not None and set(left) == {"_id", "version", "state", "erased", "tenant", "outbox"}
    assert (await api.http.get(f"{TASKS}{first['id']}")).status_code == 404
    assert (await api.http.get(f"{IMAGES}/{first['reference_image_path']}")).status_code == 404


async def test_whoever_waits_for_a_task_that_is_deleted_is_told_so(api: Stack) -> None:
    task = await api.create()
    waiting = asyncio.create_task(api.http.get(f"{TASKS}{task['id']}", headers={"prefer": "wait=15"}))
    await time_passes(0.2, because="the request is on its way")
    await api.http.delete(f"{TASKS}{task['id']}")
    answer = await waiting
    assert answer.status_code == 404 or answer.json()["status"] == "CANCELLED"


async def test_another_tenants_task_cannot_be_removed(api: Stack) -> None:
    task = await finished(api)
    for method, path in (("DELETE", ""), ("POST", "/cleanup")):
        theirs = await api.other.request(method, f"{TASKS}{task['id']}{path}")
        assert (theirs.status_code, theirs.json()["reason"]) == (404, "TASK_NOT_FOUND")
    assert (await api.http.get(f"{TASKS}{task['id']}")).json() == task
