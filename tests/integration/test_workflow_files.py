"""Files of workflows on the real storage and tasks services: what a clean-up takes, and what a fork has of its own."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from PIL import Image

from services.clients.storage_client import StorageClient
from services.rpc.grpc_client import Credentials
from tests.integration.gateway_host import IMAGES, TOKEN, Stack, stack
from tests.integration.workflows_host import WORKFLOWS, Flows, exists
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
TENANT = "acme"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(mongodb_url: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    folder: Path = tmp_path_factory.mktemp("files")
    async with stack(mongodb_url, nats_url, folder) as made:
        yield made


@pytest.fixture
def storage(api: Stack) -> StorageClient:
    return StorageClient(api.channel, Credentials(TOKEN))


@pytest.fixture
def flows(api: Stack) -> Flows:
    return Flows(api, api.http.headers["authorization"])


def png(colour: tuple[int, int, int]) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (16, 16), colour).save(target, "PNG")
    return target.getvalue()


async def paths_below(storage: StorageClient, prefix: str) -> list[str]:
    found, _ = await storage.list(tenant=TENANT, prefix=prefix)
    return [one.path for one in found]


async def end(api: Stack, storage: StorageClient, flows: Flows, workflow_id: str, step: str, content: bytes) -> str:
    """Its task draws that picture; answers where it is."""
    task_id = (await flows.step(workflow_id, step))["task_id"]
    await until(lambda: exists(api, task_id))
    path = f"generations/{task_id}/picture.png"
    await storage.upload(path, content, tenant=TENANT, result=True)
    await api.finish(task_id)
    return path


def draw(step_id: str, **more: Any) -> dict[str, Any]:
    return {"id": step_id, "task_type": "GENERATION", "config": {"prompt": f"a mug for {step_id}"}} | more


async def is_there(api: Stack, path: str) -> bool:
    return (await api.http.get(f"{IMAGES}/{path}")).status_code == 200


@pytest.mark.field("workflow-inline-pictures-left")
async def test_pictures_that_came_inside_a_step_go_with_the_clean_up(
    api: Stack, storage: StorageClient, flows: Flows
) -> None:
    config = {"prompt": "a mug", "reference_image_data": base64.b64encode(png((1, 2, 3))).decode()}
    made = await flows.create(draw("a", config=config))
    path = made["steps"][0]["config"]["reference_image_path"]
    assert await is_there(api, path)
    cleaned = await flows.post(made["id"], "cleanup")
    assert path in cleaned["cleanup"]["deleted_paths"]
    assert not await is_there(api, path)


async def test_they_stay_where_the_tasks_do(api: Stack, flows: Flows) -> None:
    config = {"prompt": "a mug", "reference_image_data": base64.b64encode(png((1, 2, 4))).decode()}
    made = await flows.create(draw("a", config=config))
    await flows.post(made["id"], "cleanup?cleanup_tasks=false")
    assert await is_there(api, made["steps"][0]["config"]["reference_image_path"])


@pytest.mark.field("fork-loses-pictures")
async def test_whoever_cleans_up_the_old_workflow_takes_nothing_from_its_fork(
    api: Stack, storage: StorageClient, flows: Flows
) -> None:
    given = {"prompt": "two", "reference_image_data": base64.b64encode(png((9, 9, 9))).decode()}
    old = await flows.create(draw("a"), draw("b", depends_on=["a"], config=given))
    drawn = await end(api, storage, flows, old["id"], "a", png((200, 0, 0)))
    await end(api, storage, flows, old["id"], "b", png((0, 200, 0)))
    await flows.ended(old["id"], "COMPLETED")
    answer = await api.http.post(f"{WORKFLOWS}{old['id']}/fork", json={"from_step": "b", "config": {"prompt": "three"}})
    assert answer.status_code == 200, answer.text
    fork = answer.json()
    reused = fork["steps"][0]["result"]["result_image_path"]
    reference = fork["steps"][1]["config"]["reference_image_path"]
    assert reused.startswith(f"workflows/{fork['id']}/") and reference.startswith(f"workflows/{fork['id']}/")
    cleaned = await flows.post(old["id"], "cleanup")
    assert drawn in cleaned["cleanup"]["deleted_paths"]
    assert not await is_there(api, drawn)
    kept = await api.http.get(f"{IMAGES}/{reused}")
    assert kept.content == png((200, 0, 0))
    assert await is_there(api, reference)
    again = await api.http.post(f"{WORKFLOWS}{old['id']}/fork", json={"from_step": "b"})
    assert (again.status_code, again.json()["reason"]) == (409, "WORKFLOW_CLEANED")
    second = (await api.http.post(f"{WORKFLOWS}{fork['id']}/fork", json={"from_step": "b"})).json()
    await flows.post(fork["id"], "cleanup")
    assert await paths_below(storage, f"workflows/{fork['id']}/") == []
    assert await is_there(api, second["steps"][0]["result"]["result_image_path"])
    await flows.post(second["id"], "cleanup")
    assert await paths_below(storage, f"workflows/{second['id']}/") == []


async def test_a_fork_runs_a_step_anew_whose_pictures_are_gone(
    api: Stack, storage: StorageClient, flows: Flows
) -> None:
    old = await flows.create(draw("a"), draw("b", depends_on=["a"]))
    await end(api, storage, flows, old["id"], "a", png((1, 0, 0)))
    await end(api, storage, flows, old["id"], "b", png((2, 0, 0)))
    done = await flows.ended(old["id"], "COMPLETED")
    assert (await api.http.delete(f"/api/v1/tasks/{done['steps'][0]['task_id']}")).status_code == 200
    fork = (await api.http.post(f"{WORKFLOWS}{old['id']}/fork", json={"from_step": "b"})).json()
    assert (await flows.step(fork["id"], "a"))["task_id"] != done["steps"][0]["task_id"]
    await flows.post(fork["id"], "cleanup")


async def test_nobody_else_stores_anything_in_a_workflows_folder(api: Stack, flows: Flows) -> None:
    made = await flows.create(draw("a"))
    answer = await api.http.post(
        f"{IMAGES}/workflows/{made['id']}/inputs/x.png", files={"file": ("x.png", png((1, 1, 1)))}
    )
    assert (answer.status_code, answer.json()["reason"]) == (409, "RESULT_IMMUTABLE")
    await flows.post(made["id"], "cleanup")
