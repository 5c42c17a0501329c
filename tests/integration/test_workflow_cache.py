"""The step cache over HTTP and gRPC, on the real services, store and bus; the worker is made of bare calls."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from compute.tasks.v1 import params_pb2, tasks_pb2, tasks_pb2_grpc, worker_pb2, worker_pb2_grpc
from compute.workflows.v1 import workflows_pb2, workflows_pb2_grpc
from PIL import Image

from services.clients.storage_client import StorageClient
from services.durable.store import open_database
from services.rpc.grpc_client import Credentials
from services.workflows.cache_records import CacheRecord
from services.workflows.cache_store import MongoCacheRepository
from services.workflows.metrics import CACHE, SAVED_SECONDS
from services.workflows.ports import StepName
from tests.integration.gateway_host import IMAGES, TOKEN, Stack, stack
from tests.integration.workflows_host import METADATA, WORKFLOWS, Flows, exists, position, probe
from tests.waiting import time_passes, until

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


@pytest_asyncio.fixture(loop_scope="module")
async def rivals(api: Stack) -> Flows:
    return Flows(api, api.other.headers["authorization"])


def png(colour: tuple[int, int, int]) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (16, 16), colour).save(target, "PNG")
    return target.getvalue()


RED, BLUE = png((200, 0, 0)), png((0, 0, 200))


def draw(prompt: str, step_id: str = "draw", seed: int | None = 7, **more: Any) -> dict[str, Any]:
    config = {"prompt": prompt} | ({"seed": seed} if seed is not None else {})
    return {"id": step_id, "task_type": "GENERATION", "config": config, **more}


def fresh() -> str:
    """A prompt nobody had before."""
    return f"a red mug {uuid4()}"


async def finish(
    storage: StorageClient, api: Stack, task_id: str, content: bytes = RED, tenant: str = TENANT, **more: Any
) -> None:
    """As a worker does that drew this."""
    attempt = (await until(lambda: begun(api, task_id))).attempt
    path = f"generations/{task_id}/picture.png"
    stored = await storage.upload(path, content, tenant=tenant, result=True)
    picture = params_pb2.GenerationResult(result_image_path=path, seed=7, width=16, height=16, steps=20)
    result = params_pb2.TaskResult(generation=picture)
    result.files.add(path=path, sha256=stored.sha256)
    await api.report(task_id, attempt, result=result, **more)


async def begun(api: Stack, task_id: str) -> tasks_pb2.Task | None:
    task = await api.assign(task_id)
    return task if task.id else None


async def drawn(api: Stack, storage: StorageClient, flows: Flows, *steps: dict[str, Any]) -> dict[str, Any]:
    """A workflow of one step, whose task a worker did."""
    made = await flows.create(*steps)
    running = await flows.step(made["id"], steps[0]["id"])
    await finish(storage, api, running["task_id"])
    return await flows.ended(made["id"], "COMPLETED")


async def content(api: Stack, path: str) -> bytes | None:
    answer = await api.http.get(f"{IMAGES}/{path}")
    return answer.content if answer.status_code == 200 else None


async def test_the_same_step_is_done_once_and_the_answer_says_where_from_and_what_that_saved(
    api: Stack, storage: StorageClient, flows: Flows
) -> None:
    prompt, saved, hits = fresh(), SAVED_SECONDS.value(), CACHE.value("hit")
    first = await drawn(api, storage, flows, draw(prompt))
    second = await flows.ended((await flows.create(draw(prompt)))["id"], "COMPLETED")
    (made,), (given,) = first["steps"], second["steps"]
    assert (made["status"], given["status"], given["task_id"]) == ("COMPLETED", "CACHED", None)
    assert (second["completed_steps"], second["progress"]) == (1, 100.0)
    told = given["cached"]
    assert (told["workflow_id"], told["step_id"], told["task_id"]) == (first["id"], "draw", made["task_id"])
    assert told["saved_seconds"] > 0 and told["saved_cost_usd"] is None
    path = given["result"]["result_image_path"]
    assert path == f"workflows/{second['id']}/steps/draw/picture.png"
    assert await content(api, path) == RED
    assert second["final_step_result"] == given["result"]
    assert SAVED_SECONDS.value() - saved == pytest.approx(told["saved_seconds"])
    assert CACHE.value("hit") == hits + 1
    # a clean-up of the first hurts nobody, and the second one's copy answers the third
    await flows.post(first["id"], "cleanup")
    assert await content(api, path) == RED
    third = await flows.ended((await flows.create(draw(prompt)))["id"], "COMPLETED")
    assert third["steps"][0]["status"] == "CACHED"
    for one in (second, third):
        assert (await flows.post(one["id"], "cleanup"))["cleanup"]["errors"] == []
    # now no file is left: it runs again
    fourth = await flows.create(draw(prompt))
    assert await until(lambda: task_of(api, flows, fourth["id"]))
    await flows.post(fourth["id"], "cleanup")


async def test_the_event_of_a_cached_step_says_so(api: Stack, storage: StorageClient, flows: Flows) -> None:
    prompt = fresh()
    await drawn(api, storage, flows, draw(prompt))
    before = await position(api)
    made = await flows.ended((await flows.create(draw(prompt)))["id"], "COMPLETED")
    answer = await api.http.get(f"{WORKFLOWS}{made['id']}/events", headers={"last-event-id": before})
    told = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    (ended,) = [event["data"] for event in told if event.get("type", "").endswith("step_completed.v1")]
    assert ended["metadata"] == {"attempt": 1, "cached": True} and ended["task_id"] == made["id"]


async def test_a_seed_that_nobody_gave_is_another_one_each_time(
    api: Stack, storage: StorageClient, flows: Flows
) -> None:
    prompt = fresh()
    await drawn(api, storage, flows, draw(prompt, seed=None))
    made = await flows.create(draw(prompt, seed=None))
    assert await until(lambda: task_of(api, flows, made["id"]))
    await flows.post(made["id"], "cleanup")


async def test_it_is_off_by_request_of_the_step_or_the_workflow(
    api: Stack, storage: StorageClient, flows: Flows
) -> None:
    prompt = fresh()
    await drawn(api, storage, flows, draw(prompt))
    for made in (
        await flows.create(draw(prompt, cache="off")),
        await flows.create(draw(prompt), config={"cache": "off"}),
    ):
        assert await until(partial(task_of, api, flows, made["id"]))
        await flows.post(made["id"], "cleanup")
    wanted = await flows.create(draw(prompt, cache="use"), config={"cache": "off"})
    done = await flows.ended(wanted["id"], "COMPLETED")
    assert (done["steps"][0]["cache"], done["steps"][0]["status"]) == ("use", "CACHED")
    body = {"name": "n", "origin_instance": "o", "steps": [draw(prompt)], "config": {"cache": "sometimes"}}
    refused = await api.http.post(WORKFLOWS, json=body)
    assert (refused.status_code, refused.json()["violations"][0]["field"]) == (400, "config.cache")
    body = {"name": "n", "origin_instance": "o", "steps": [draw(prompt, cache="sometimes")]}
    assert (await api.http.post(WORKFLOWS, json=body)).status_code == 422


@pytest.mark.field("cache-across-tenants")
async def test_another_tenant_is_given_nothing(api: Stack, storage: StorageClient, flows: Flows, rivals: Flows) -> None:
    prompt = fresh()
    await drawn(api, storage, flows, draw(prompt))
    body = {"name": "n", "origin_instance": "o", "steps": [draw(prompt)]}
    made = (await api.other.post(WORKFLOWS, json=body)).json()

    async def running() -> Any:
        step = (await api.other.get(WORKFLOWS + made["id"])).json()["steps"][0]
        answer = await api.other.get(f"/api/v1/tasks/{step['task_id']}")
        return answer.json() if answer.status_code == 200 else None

    assert (await until(running))["prompt"] == prompt


@pytest.mark.field("cache-stampede")
async def test_a_fan_out_of_the_same_work_and_another_workflow_wait_for_one_task(
    api: Stack, storage: StorageClient, flows: Flows
) -> None:
    prompt = fresh()
    each = {"to_field": "prompt", "items": [prompt] * 12}
    step = {"id": "fan", "task_type": "GENERATION", "config": {"seed": 7}, "for_each": each}
    seeds = {"id": "fan", "task_type": "GENERATION", "config": {"seed": 7}, "for_each": each}
    made = await flows.create(step)
    leader = await until(lambda: led(api, flows, made["id"], 12))
    other = await flows.create(draw(prompt))
    await finish(storage, api, leader)
    done = await flows.ended(made["id"], "COMPLETED")
    second = await flows.ended(other["id"], "COMPLETED")
    states = [slot["status"] for slot in done["steps"][0]["slots"]]
    assert sorted(states) == ["CACHED"] * 11 + ["COMPLETED"] and done["steps"][0]["status"] == "COMPLETED"
    paths = done["steps"][0]["result"]["result_image_path"]
    assert len(set(paths)) == 12
    assert [await content(api, path) for path in paths] == [RED] * 12
    assert second["steps"][0]["status"] == "CACHED"
    again = await flows.ended((await flows.create(seeds))["id"], "COMPLETED")
    assert again["steps"][0]["status"] == "CACHED"


async def led(api: Stack, flows: Flows, workflow_id: str, slots: int) -> Any:
    """The one task of so many slots."""
    found = (await flows.get(workflow_id))["steps"][0]["slots"]
    there = [slot["task_id"] for slot in found if slot["task_id"] and await exists(api, slot["task_id"])]
    assert len(there) <= 1
    return there[0] if there and len(found) == slots else None


@pytest.mark.field("cache-leader-cancelled")
async def test_work_goes_on_for_who_waits_though_its_own_workflow_is_cancelled_and_cleaned_up(
    api: Stack, storage: StorageClient, flows: Flows
) -> None:
    prompt = fresh()
    first = await flows.create(draw(prompt))
    task_id = (await flows.step(first["id"], "draw"))["task_id"]
    await until(lambda: exists(api, task_id))
    second = await flows.create(draw(prompt))
    await until(lambda: joined(flows, second["id"]))
    cleaned = await flows.post(first["id"], "cleanup")
    assert [error["task_id"] for error in cleaned["cleanup"]["errors"]] == [task_id]
    assert (await exists(api, task_id))["status"] in ("PENDING", "EXECUTING")
    await finish(storage, api, task_id)
    done = await flows.ended(second["id"], "COMPLETED")
    assert done["steps"][0]["status"] == "CACHED"
    assert await content(api, done["steps"][0]["result"]["result_image_path"]) == RED


async def joined(flows: Flows, workflow_id: str) -> bool:
    return CACHE.value("joined") > 0 and (await flows.get(workflow_id))["steps"][0]["status"] == "RUNNING"


@pytest.mark.field("cache-failure-kept")
async def test_when_the_task_fails_that_others_wait_for_one_of_them_does_it(
    api: Stack, storage: StorageClient, flows: Flows
) -> None:
    prompt = fresh()
    first = await flows.create(draw(prompt))
    task_id = (await flows.step(first["id"], "draw"))["task_id"]
    await until(lambda: exists(api, task_id))
    others = [await flows.create(draw(prompt)) for _ in range(3)]
    ids = [(await flows.step(other["id"], "draw"))["task_id"] for other in others]
    await flows.end_badly(task_id)
    await flows.ended(first["id"], "FAILED")

    async def promoted() -> Any:
        there = [one for one in ids if await exists(api, one)]
        assert len(there) <= 1
        return there[0] if there else None

    await finish(storage, api, await until(promoted))
    done = [await flows.ended(other["id"], "COMPLETED") for other in others]
    assert sorted(one["steps"][0]["status"] for one in done) == ["CACHED", "CACHED", "COMPLETED"]


@pytest.mark.field("cache-key-by-model")
async def test_a_model_that_is_replaced_meanwhile_makes_no_hit(
    api: Stack, storage: StorageClient, flows: Flows
) -> None:
    prompt = fresh()
    await drawn(api, storage, flows, draw(prompt))
    await announce(api, "00ff")
    made = await flows.create(draw(prompt))
    assert await until(lambda: task_of(api, flows, made["id"]))
    await announce(api, "")
    await flows.post(made["id"], "cleanup")


async def task_of(api: Stack, flows: Flows, workflow_id: str) -> Any:
    step = (await flows.get(workflow_id))["steps"][0]
    return await exists(api, step["task_id"]) if step["status"] == "RUNNING" else None


async def announce(api: Stack, sha256: str) -> None:
    """A worker that serves a model with that hash, until the list says so."""
    request = worker_pb2.HeartbeatTasksRequest(worker_id="models", capacity=1 if sha256 else 0, queues=["nobody"])
    if sha256:
        request.models.add(name="starter", sha256=sha256, serves="diffusion")
    worker = worker_pb2_grpc.WorkerServiceStub(api.channel)
    await worker.HeartbeatTasks(request, metadata=METADATA, timeout=10)
    tasks = tasks_pb2_grpc.TaskServiceStub(api.channel)

    async def listed() -> bool:
        answer = await tasks.ListModels(
            tasks_pb2.ListModelsRequest(), metadata=Credentials(TOKEN).metadata(TENANT), timeout=10
        )
        return [model.sha256 for model in answer.models] == ([sha256] if sha256 else [])

    await until(listed)
    await time_passes(1.1, because="models are asked for once a second")


async def test_pictures_count_by_content_and_another_one_under_the_same_path_is_another(
    api: Stack, storage: StorageClient, flows: Flows
) -> None:
    name = uuid4().hex
    for path, picture in ((f"shop/{name}-1.png", BLUE), (f"shop/{name}-2.png", BLUE)):
        await storage.upload(path, picture, tenant=TENANT)

    def edited(path: str) -> dict[str, Any]:
        config = {"prompt": f"red {name}", "seed": 3, "reference_image_path": path}
        return {"id": "draw", "task_type": "GENERATION", "config": config}

    await drawn(api, storage, flows, edited(f"shop/{name}-1.png"))
    same = await flows.ended((await flows.create(edited(f"shop/{name}-2.png")))["id"], "COMPLETED")
    assert same["steps"][0]["status"] == "CACHED"
    await storage.upload(f"shop/{name}-1.png", RED, tenant=TENANT)
    other = await flows.create(edited(f"shop/{name}-1.png"))
    assert await until(lambda: task_of(api, flows, other["id"]))
    await flows.post(other["id"], "cleanup")


async def test_it_is_the_same_over_grpc(api: Stack, storage: StorageClient, flows: Flows) -> None:
    prompt = fresh()
    first = await drawn(api, storage, flows, draw(prompt))
    stub, metadata = workflows_pb2_grpc.WorkflowServiceStub(api.channel), Credentials(TOKEN).metadata(TENANT)
    definition = workflows_pb2.WorkflowDefinition(name="n")
    definition.origin.instance = "test"
    step = definition.steps.add(id="draw", cache="use")
    step.spec.params.generation.prompt, step.spec.params.generation.seed = prompt, 7
    request = workflows_pb2.CreateWorkflowRequest(definition=definition)
    made = (await stub.CreateWorkflow(request, metadata=metadata, timeout=10)).workflow

    async def done() -> Any:
        asked = workflows_pb2.GetWorkflowRequest(workflow_id=made.id)
        found = (await stub.GetWorkflow(asked, metadata=metadata, timeout=10)).workflow
        return found if found.status == workflows_pb2.WORKFLOW_STATUS_COMPLETED else None

    found = await until(done)
    assert found.steps[0].status == workflows_pb2.STEP_STATUS_CACHED
    assert found.steps[0].cached.workflow_id == first["id"] and not found.steps[0].HasField("task_id")
    assert found.definition.steps[0].cache == "use"


async def test_probes_are_cached_where_an_administrator_asks_for_it(api: Stack) -> None:
    flows = Flows(api, f"Bearer {await api.key('acme', 'admin')}")
    text = uuid4().hex
    step = probe("a", cache="use") | {"config": {"payload": text}}
    made = await flows.create(step)
    await flows.end(made["id"], "a")
    await flows.ended(made["id"], "COMPLETED")
    again = await flows.ended((await flows.create(step))["id"], "COMPLETED")
    assert (again["steps"][0]["status"], again["steps"][0]["result"]) == ("CACHED", {"payload": text})
    plain = probe("a") | {"config": {"payload": text}}
    third = await flows.create(plain)
    await flows.end(third["id"], "a")
    assert (await flows.ended(third["id"], "COMPLETED"))["steps"][0]["status"] == "COMPLETED"


@pytest.mark.field("cache-grows-for-ever")
async def test_what_was_used_longest_ago_goes_first_and_no_tenant_at_anothers_cost(mongodb_url: str) -> None:
    async with open_database(mongodb_url, f"cache_{uuid4().hex[:12]}") as database:
        records = MongoCacheRepository(database)
        await records.prepare()
        for number in range(12):
            assert await records.save(CacheRecord("acme", f"k{number}", used=100 + number))
        assert await records.save(CacheRecord("rival", "only", used=1))
        assert await records.evict(before=0, most=5) == 7
        left = [number for number in range(12) if await records.get("acme", f"k{number}") is not None]
        assert left == [7, 8, 9, 10, 11]
        assert await records.get("rival", "only") is not None
        assert await records.evict(before=50, most=5) == 1
        assert await records.get("rival", "only") is None


async def test_of_two_who_write_a_record_at_once_one_wins(mongodb_url: str) -> None:
    async with open_database(mongodb_url, f"cache_{uuid4().hex[:12]}") as database:
        records, name = MongoCacheRepository(database), StepName("w", "s", 1)
        await records.prepare()
        new = CacheRecord("acme", "k")
        assert [await records.save(new.led_by(name, [], 1)), await records.save(new.led_by(name, [], 2))] == [
            True,
            False,
        ]
        stored = await records.get("acme", "k")
        assert stored is not None
        changes = [stored.joined([StepName("w", "s", number)]) for number in range(2, 5)]
        assert sorted([await records.save(change) for change in changes]) == [False, False, True]
        assert [record.key for record in await records.led_by([name, StepName("x", "y", 1)])] == ["k"]
