"""What the contract says of tasks and storage in sentences; each test is named by the line of seed 002 that says it."""

from __future__ import annotations

import asyncio
import io
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
import pytest_asyncio
from compute.tasks.v1 import params_pb2, tasks_pb2, tasks_pb2_grpc, worker_pb2
from PIL import Image
from psutil import Process

from services.catalog.tasks import TYPES
from services.clients.storage_client import StorageClient
from services.rpc.grpc_client import Credentials
from services.tasks.dispatcher import Dispatcher, DispatchTiming
from services.tasks.heartbeats import HeartbeatReceiver
from tests.fakes.worker_service import FakeWorkerService
from tests.integration.gateway_host import IMAGES, TASKS, TOKEN, Stack, stack
from tests.integration.tasks_host import hosting
from tests.integration.worker_bench import Bench, Steps, benching
from tests.nats_server import connected

pytestmark = pytest.mark.asyncio(loop_scope="module")
GENERATIONS = "/api/v1/tasks/generation"
FOLDERS = {"EDITING": "editings", "GENERATION": "generations", "REFINE": "refines"}
FAILURE = worker_pb2.TaskFailure(reason="IMAGE_INVALID", message="no picture", category="VALIDATION")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(mongodb_url: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with stack(mongodb_url, nats_url, tmp_path_factory.mktemp("objects")) as made:
        yield made


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), "red").save(buffer, "PNG")
    return buffer.getvalue()


def body(kind: str, **fields: Any) -> dict[str, Any]:
    return {"task_type": kind, "origin_instance": "test", **TYPES[kind].example, **fields}


async def made(api: Stack, kind: str, **fields: Any) -> dict[str, Any]:
    answer = await api.http.post(TASKS, json=body(kind, **fields))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def shown(api: Stack, task_id: str) -> dict[str, Any]:
    return dict((await api.http.get(f"{TASKS}{task_id}")).json())


async def stored(api: Stack, task_id: str) -> tasks_pb2.Task:
    """The task as the tasks service shows it to the other services."""
    stub = tasks_pb2_grpc.TaskServiceStub(api.channel)
    request = tasks_pb2.GetTaskRequest(task_id=task_id)
    task: tasks_pb2.Task = (await stub.GetTask(request, metadata=Credentials(TOKEN).metadata("acme"), timeout=10)).task
    return task


async def ended_with_a_file(api: Stack, kind: str, **fields: Any) -> tuple[str, str]:
    """The id of a task that is over, and the path of a file in its folder."""
    task_id = (await made(api, kind, **fields))["id"]
    path = f"{FOLDERS[kind]}/{task_id}/picture.png"
    await StorageClient(api.channel, Credentials(TOKEN)).upload(path, png(), tenant="acme", result=True)
    await api.finish(task_id, failure=FAILURE)
    assert (await api.http.get(f"{IMAGES}/{path}")).status_code == 200
    return task_id, path


async def listed(api: Stack, path: str = TASKS, **filters: Any) -> list[str]:
    answer = await api.http.get(path, params=filters)
    assert answer.status_code == 200, answer.text
    return [task["id"] for task in answer.json()]


async def saved(api: Stack, path: str) -> str:
    answer = await api.http.post(f"{IMAGES}/{path}", files={"file": png()})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["path"])


def refused_for(answer: httpx2.Response, *words: str) -> bool:
    return answer.status_code == 422 and all(word in answer.text for word in words)


async def test_line_1798_a_created_task_is_started_without_another_call(api: Stack) -> None:
    """Where no worker has room it waits; the first one that asks begins it."""
    task = await made(api, "GENERATION")
    assert task["status"] == "PENDING"
    await api.assign(task["id"])
    assert (await shown(api, task["id"]))["status"] == "EXECUTING"


@pytest.mark.parametrize(("path", "line"), [(TASKS, 1894), (GENERATIONS, 3859)])
async def test_lines_1894_and_3859_a_list_holds_100_tasks_unless_limit_says_otherwise(
    api: Stack, path: str, line: int
) -> None:
    zone = uuid4().hex
    asked = {"tasks": [body("GENERATION", origin_zone=zone)] * 100}
    assert (await api.http.post("/api/v1/tasks/batch", json=asked)).status_code == 200
    newest = (await made(api, "GENERATION", origin_zone=zone))["id"]
    found = await listed(api, path, origin_zone=zone)
    assert (len(found), found[0]) == (100, newest)
    assert len(await listed(api, path, origin_zone=zone, limit=7)) == 7
    assert len(await listed(api, path, origin_zone=zone, skip=99)) == 2


async def test_lines_1895_to_1902_each_filter_of_the_list_finds_its_own(api: Stack) -> None:
    zone, instance, tenant = (uuid4().hex for _ in range(3))
    one = (await made(api, "GENERATION", origin_zone=zone, origin_instance=instance, origin_tenant_id=tenant))["id"]
    other = (await made(api, "EDITING", origin_zone=zone))["id"]
    await api.http.post(f"{TASKS}{other}/cancel")
    assert await listed(api, origin_instance=instance) == await listed(api, origin_tenant_id=tenant) == [one]
    assert await listed(api, origin_zone=zone) == [other, one]
    assert await listed(api, origin_zone=zone, status="CANCELLED") == [other]
    assert await listed(api, origin_zone=zone, task_type="EDITING") == [other]
    assert await listed(api, origin_zone=zone, task_type="EDITING", status="PENDING") == []


async def test_line_3870_the_list_of_generations_knows_no_other_type(api: Stack) -> None:
    zone = uuid4().hex
    one = (await made(api, "GENERATION", origin_zone=zone))["id"]
    await made(api, "EDITING", origin_zone=zone)
    assert await listed(api, GENERATIONS, origin_zone=zone) == [one]


@pytest.mark.parametrize("kind", sorted(FOLDERS))
async def test_line_2097_delete_removes_the_files_in_the_folder_of_the_type(api: Stack, kind: str) -> None:
    task_id, path = await ended_with_a_file(api, kind)
    assert (await api.http.delete(f"{TASKS}{task_id}")).status_code == 200
    assert (await api.http.get(f"{IMAGES}/{path}")).status_code == 404


async def test_line_2098_delete_leaves_no_record(api: Stack) -> None:
    task_id, _ = await ended_with_a_file(api, "GENERATION", origin_zone=(zone := uuid4().hex))
    await api.http.delete(f"{TASKS}{task_id}")
    assert (await api.http.get(f"{TASKS}{task_id}")).status_code == 404
    assert await listed(api, origin_zone=zone) == []


async def test_line_2107_delete_answers_with_the_task(api: Stack) -> None:
    task_id, _ = await ended_with_a_file(api, "REFINE")
    before = await shown(api, task_id)
    assert (await api.http.delete(f"{TASKS}{task_id}")).json() == before


async def test_line_2150_cleanup_marks_the_task_as_deleted_now(api: Stack) -> None:
    task_id, _ = await ended_with_a_file(api, "GENERATION")
    before = await shown(api, task_id)
    assert (before["is_deleted"], before["deleted_at"]) == (False, None)
    assert (await api.http.post(f"{TASKS}{task_id}/cleanup")).status_code == 200
    task = await shown(api, task_id)
    assert task["is_deleted"] is True
    assert timedelta() <= moment(task["deleted_at"]) - moment(before["completed_at"]) < timedelta(minutes=1)


@pytest.mark.parametrize("kind", sorted(FOLDERS))
async def test_line_2151_cleanup_deletes_the_files_in_the_folder_of_the_type(api: Stack, kind: str) -> None:
    task_id, path = await ended_with_a_file(api, kind)
    assert path in (await api.http.post(f"{TASKS}{task_id}/cleanup")).json()["deleted_paths"]
    assert (await api.http.get(f"{IMAGES}/{path}")).status_code == 404


async def test_line_2152_the_record_of_a_cleaned_task_stays(api: Stack) -> None:
    task_id, _ = await ended_with_a_file(api, "GENERATION", origin_reference="audit-7")
    before = await shown(api, task_id)
    await api.http.post(f"{TASKS}{task_id}/cleanup")
    changed = {"is_deleted", "deleted_at", "updated_at"}
    after = await shown(api, task_id)
    assert {name for name in before if before[name] != after[name]} == changed


@pytest.mark.parametrize(("path", "line"), [(TASKS, 2164), (f"{GENERATIONS}/", 3925)])
async def test_lines_2164_and_3925_cancel_ends_a_task_that_waits_or_runs(api: Stack, path: str, line: int) -> None:
    waiting, running = [(await made(api, "GENERATION"))["id"] for _ in range(2)]
    await api.assign(running)
    for task_id in (waiting, running):
        answer = await api.http.post(f"{path}{task_id}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (200, "CANCELLED")
        assert (await shown(api, task_id))["completed_at"] is not None


async def test_line_2499_progress_goes_from_0_to_100(api: Stack) -> None:
    task_id = (await made(api, "GENERATION"))["id"]
    assert (await shown(api, task_id))["progress"] == 0
    await api.finish(task_id)
    assert (await shown(api, task_id))["progress"] == 100


@pytest.mark.parametrize("kind", ["GENERATION", "EDITING", "REFINE"])
async def test_line_2851_the_fal_ids_are_read_from_provider_config(api: Stack, kind: str) -> None:
    config = {"fal_request_id": "0b8e-req"}
    task = await made(api, kind, provider_type="FAL", provider_config=config)
    assert task["fal_request_id"] == "0b8e-req"
    assert "fal_app_id" in task
    plain = await made(api, kind)
    assert (plain["fal_app_id"], plain["fal_request_id"]) == (None, None)
    answer = await api.http.put(f"{TASKS}{plain['id']}", json={"fal_request_id": "mine"})
    assert answer.status_code == 422


@pytest.mark.parametrize("path", [TASKS, GENERATIONS])
async def test_line_7466_cleaned_tasks_leave_the_lists_unless_they_are_asked_for(api: Stack, path: str) -> None:
    zone = uuid4().hex
    kept = (await made(api, "GENERATION", origin_zone=zone))["id"]
    cleaned, _ = await ended_with_a_file(api, "GENERATION", origin_zone=zone)
    await api.http.post(f"{TASKS}{cleaned}/cleanup")
    assert await listed(api, path, origin_zone=zone) == [kept]
    assert await listed(api, path, origin_zone=zone, include_deleted="false") == [kept]
    assert await listed(api, path, origin_zone=zone, include_deleted="true") == [cleaned, kept]
    assert await listed(api, path, origin_zone=zone, include_deleted="true", status="FAILED") == [cleaned]


async def test_line_7836_a_task_waits_in_the_queue_inference(api: Stack) -> None:
    assert (await stored(api, (await made(api, "GENERATION"))["id"])).queue == "inference"


@pytest.mark.asyncio(loop_scope="function")
async def test_line_7841_a_task_of_higher_priority_goes_first(mongodb_url: str, nats_url: str) -> None:
    async with hosting(mongodb_url, nats_url, f"rules_{uuid4().hex[:12]}") as host:
        ids = {}
        for priority in (1, 5, 0, 3):
            request = host.request()
            request.spec.priority = priority
            answer = await host.tasks.CreateTask(request, timeout=20, metadata=host.metadata)
            ids[answer.task.id] = priority
        order = []
        for _ in ids:
            await host.beat("w", capacity=1, inbox=host.inbox)
            [(task_id, attempt)] = await host.order()
            order.append(ids[task_id])
            await host.assign("w", task_id, attempt)
            assert await host.finish(task_id, attempt)
    assert order == [5, 3, 1, 0]


async def test_lines_7931_to_7954_a_resumed_task_says_how_often_and_when(api: Stack) -> None:
    task_id = (await made(api, "GENERATION"))["id"]
    fresh = await shown(api, task_id)
    assert [fresh[name] for name in ("is_resumed", "resume_attempt_count", "last_resume_attempt")] == [False, 0, None]
    times = []
    for count in (1, 2):
        await api.finish(task_id, failure=FAILURE)
        failed = moment((await shown(api, task_id))["completed_at"])
        await api.http.post(f"{TASKS}{task_id}/resume")
        task = await shown(api, task_id)
        assert (task["is_resumed"], task["resume_attempt_count"]) == (True, count)
        times.append(moment(task["last_resume_attempt"]))
        assert times[-1] >= failed
    assert times[1] > times[0]
    await api.finish(task_id)
    assert (await shown(api, task_id))["resume_attempt_count"] == 2


async def test_line_8085_the_statuses_of_a_task_are_the_five(api: Stack) -> None:
    seen = []
    waiting, well, badly = [(await made(api, "GENERATION"))["id"] for _ in range(3)]
    seen.append((await shown(api, waiting))["status"])
    await api.assign(waiting)
    seen.append((await shown(api, waiting))["status"])
    await api.finish(well)
    await api.finish(badly, failure=FAILURE)
    await api.http.post(f"{TASKS}{waiting}/cancel")
    seen += [(await shown(api, task_id))["status"] for task_id in (well, badly, waiting)]
    assert seen == ["PENDING", "EXECUTING", "COMPLETED", "FAILED", "CANCELLED"]


async def test_line_8570_wait_counts_to_the_first_start(api: Stack) -> None:
    task_id = (await made(api, "GENERATION"))["id"]
    assert not (await stored(api, task_id)).HasField("first_started_at")
    await api.finish(task_id, failure=FAILURE)
    once = await stored(api, task_id)
    first = once.first_started_at.ToMicroseconds()
    assert first == once.started_at.ToMicroseconds() >= once.created_at.ToMicroseconds()
    for _ in range(2):
        await api.http.post(f"{TASKS}{task_id}/resume")
        await api.finish(task_id, failure=FAILURE)
        again = await stored(api, task_id)
        assert again.first_started_at.ToMicroseconds() == first < again.started_at.ToMicroseconds()


async def test_lines_7931_to_7954_a_resumed_task_keeps_the_time_of_the_runs_before(api: Stack) -> None:
    """And what they cost: whoever adds a task up counts each run once, and no pause."""
    task_id, ran = (await made(api, "GENERATION"))["id"], 0.0
    for _ in range(2):
        run = await api.assign(task_id)
        call = tasks_pb2.ProviderCall(provider="FAL", attempt=1, outcome="SUCCEEDED", cost_usd=0.25)
        await api.report(task_id, run.attempt, failure=FAILURE, provider_calls=[call])
        ended = await stored(api, task_id)
        ran += (ended.completed_at.ToMicroseconds() - run.started_at.ToMicroseconds()) / 1e6
        assert ended.run_seconds == pytest.approx(ran, abs=2e-6)
        await api.http.post(f"{TASKS}{task_id}/resume")
    assert (await stored(api, task_id)).run_seconds == ended.run_seconds
    assert ended.cost_usd == 0.5


@pytest.mark.parametrize("strength", [0, 100])
async def test_line_9349_the_strength_of_a_reference_goes_from_0_to_100(api: Stack, strength: int) -> None:
    task = await made(api, "GENERATION", reference_image_strength=strength)
    assert task["reference_image_strength"] == strength
    beyond = body("GENERATION", reference_image_strength=strength + (1 if strength else -1))
    assert refused_for(await api.http.post(TASKS, json=beyond), "reference_image_strength")


async def test_line_9091_the_provider_decides_the_queue_where_none_is_named(api: Stack) -> None:
    ours, outside = [await made(api, "GENERATION", provider_type=provider) for provider in ("LOCAL", "FAL")]
    queues = [(await stored(api, task["id"])).queue for task in (ours, outside)]
    assert queues[0] != queues[1]


async def test_line_9374_a_shape_is_said_by_ratio_or_by_sides_not_by_both(api: Stack) -> None:
    sides = {"target_width": 64, "target_height": 32}
    assert (await made(api, "IMAGE_ADJUSTER", aspect_ratio=2.0))["aspect_ratio"] == 2.0
    assert (await made(api, "IMAGE_ADJUSTER", aspect_ratio=None, **sides))["target_width"] == 64
    both = await api.http.post(TASKS, json=body("IMAGE_ADJUSTER", aspect_ratio=2.0, **sides))
    assert refused_for(both, "aspect_ratio", "not both")


@pytest.mark.parametrize("margin", ["margin_bottom", "margin_left", "margin_right", "margin_top"])
async def test_lines_9388_to_9394_margins_are_shares_of_the_final_side(api: Stack, margin: str) -> None:
    assert (await made(api, "IMAGE_ADJUSTER", **{margin: 0.25}))[margin] == 0.25
    for wrong in (-0.01, 1.01):
        assert refused_for(await api.http.post(TASKS, json=body("IMAGE_ADJUSTER", **{margin: wrong})), margin)


@pytest.mark.parametrize(("side", "other"), [("target_height", "target_width"), ("target_width", "target_height")])
async def test_lines_9420_and_9422_each_target_side_needs_the_other(api: Stack, side: str, other: str) -> None:
    alone = body("IMAGE_ADJUSTER", aspect_ratio=None, **{side: 64})
    assert refused_for(await api.http.post(TASKS, json=alone), side, other)


async def test_line_9426_the_tolerance_is_a_share_and_0_by_default(api: Stack) -> None:
    assert (await made(api, "IMAGE_ADJUSTER"))["tolerance"] == 0
    for wrong in (-0.01, 1.01):
        assert refused_for(await api.http.post(TASKS, json=body("IMAGE_ADJUSTER", tolerance=wrong)), "tolerance")


@pytest.mark.parametrize(
    ("line", "field", "least", "most", "step"),
    [(9537, "cfg_scale", 0.0, 2.0, 0.01), (9541, "duration_seconds", 1, 60, 1)],
)
async def test_lines_9537_and_9541_the_numbers_of_a_video_have_bounds(
    api: Stack, line: int, field: str, least: float, most: float, step: float
) -> None:
    for right in (least, most):
        assert (await made(api, "VIDEO_GENERATION", **{field: right}))[field] == right
    for wrong in (least - step, most + step):
        assert refused_for(await api.http.post(TASKS, json=body("VIDEO_GENERATION", **{field: wrong})), field)


async def test_line_4455_the_list_shows_the_stored_images(api: Stack) -> None:
    folder = uuid4().hex
    paths = [await saved(api, f"{folder}/{name}.png") for name in "ab"]
    found = (await api.http.get(IMAGES, params={"prefix": f"{folder}/"})).json()["images"]
    assert [image["path"] for image in found] == paths


async def test_line_4462_a_list_holds_100_images_unless_limit_says_otherwise(api: Stack) -> None:
    folder = uuid4().hex
    storage = StorageClient(api.channel, Credentials(TOKEN))
    for number in range(101):
        await storage.upload(f"{folder}/{number:03}.png", png(), tenant="acme")
    asked = {"prefix": f"{folder}/"}
    assert len((await api.http.get(IMAGES, params=asked)).json()["images"]) == 100
    assert len((await api.http.get(IMAGES, params={**asked, "limit": 101})).json()["images"]) == 101


async def test_line_4463_the_prefix_may_be_left_out(api: Stack) -> None:
    path = await saved(api, f"!{uuid4().hex}.png")
    assert path in [image["path"] for image in (await api.http.get(IMAGES)).json()["images"]]


@pytest.mark.asyncio(loop_scope="function")
async def test_line_4469_get_redirects_to_the_cdn_where_there_is_one(
    mongodb_url: str, nats_url: str, tmp_path: Path
) -> None:
    async with stack(mongodb_url, nats_url, tmp_path, cdn_url="https://cdn.example") as behind_cdn:
        path = await saved(behind_cdn, f"{uuid4().hex}.png")
        answer = await behind_cdn.http.get(f"{IMAGES}/{path}", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, f"https://cdn.example/acme/{path}")


async def test_lines_4469_and_4481_a_saved_image_is_got_by_its_path(api: Stack) -> None:
    path = await saved(api, f"deep/in/folders/{uuid4().hex}.png")
    answer = await api.http.get(f"{IMAGES}/{path}")
    assert (answer.status_code, answer.content) == (200, png())


async def test_line_4494_a_deleted_image_is_gone(api: Stack) -> None:
    path = await saved(api, f"{uuid4().hex}.png")
    assert (await api.http.delete(f"{IMAGES}/{path}")).status_code == 200
    assert (await api.http.get(f"{IMAGES}/{path}")).status_code == 404


async def test_line_4506_head_tells_whether_an_image_exists(api: Stack) -> None:
    path = await saved(api, f"{uuid4().hex}.png")
    assert (await api.http.head(f"{IMAGES}/{path}")).status_code == 200
    missing = await api.http.head(f"{IMAGES}/{uuid4().hex}.png")
    assert (missing.status_code, missing.content) == (404, b"")


async def test_lines_9019_and_10905_a_created_task_is_told_with_its_origin(api: Stack, nats_url: str) -> None:
    async with await connected(nats_url) as bus:
        heard = await bus.subscribe("evt.v1.acme.task.*.created")
        await bus.flush()
        task = await made(api, "GENERATION", origin_zone="eu")
        data = json.loads((await heard.next_msg(timeout=15)).data)["data"]
    assert (data["task_id"], data["task_type"], data["status"]) == (task["id"], "GENERATION", "PENDING")
    assert (data["origin_instance"], data["origin_zone"]) == ("test", "eu")


async def created_events(api: Stack, nats_url: str, *bodies: dict[str, Any]) -> list[dict[str, Any]]:
    """What is told of each as it is created."""
    async with await connected(nats_url) as bus:
        heard = await bus.subscribe("evt.v1.acme.task.*.created")
        await bus.flush()
        ids = [(await api.http.post(TASKS, json=one)).json()["id"] for one in bodies]
        found: dict[str, dict[str, Any]] = {}
        while not found.keys() >= set(ids):  # among those of earlier tests
            event = json.loads((await heard.next_msg(timeout=15)).data)
            found[event["subject"]] = event["data"]
    return [found[name] for name in ids]


@pytest.mark.field("event-constants")
async def test_line_9019_an_event_names_the_version_of_its_origin_where_the_caller_did(
    api: Stack, nats_url: str
) -> None:
    silent = body("GENERATION")
    told, untold = await created_events(api, nats_url, silent | {"origin_version": "4.2.1-rc"}, silent)
    assert told["origin_version"] == "4.2.1-rc" and "origin_version" not in untold
    task = await made(api, "GENERATION", origin_version="4.2.1-rc")
    assert task["origin_version"] == "4.2.1-rc" and (await made(api, "GENERATION"))["origin_version"] is None
    assert refused_for(await api.http.post(TASKS, json=silent | {"origin_version": "v" * 51}), "origin_version")


@pytest.mark.field("event-constants")
async def test_line_10905_a_created_task_says_in_how_many_steps_it_works(api: Stack, nats_url: str) -> None:
    """As many as there are pictures that it works on one after another, which its progress counts."""
    several = [body("BACKGROUND_REMOVAL", input_image_paths=["a/b.png"] * count) for count in (1, 3, 32)]
    told = await created_events(api, nats_url, *several, body("GENERATION"), body("LLM_INTERACTION"))
    assert [data["total_steps"] for data in told] == [1, 3, 32, 1, 1]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def registered(nats_url: str) -> AsyncIterator[tuple[Bench, Callable[[], Any]]]:
    """A worker of two queues, and how it stands in the registry by what it says of itself."""
    unused: Any = None
    books = Dispatcher(unused, unused, time.time_ns, lambda: False, DispatchTiming())
    async with benching(nats_url, FakeWorkerService(lease=1.5)) as bench, bench.worker(Steps(), worker_capacity=3):
        receiver = HeartbeatReceiver(bench.bus, books, "test")

        async def standing() -> Any:
            seen = len(bench.service.heartbeats)
            # The one that is on its way may have been written before.
            await bench.service.until(lambda: len(bench.service.heartbeats) > seen + 1)
            await receiver.take(bench.service.heartbeats[-1])
            [(worker, active)] = books.workers().values()
            return worker, active

        yield bench, standing


async def test_line_11383_a_worker_says_which_queues_it_takes_tasks_from(registered: Any) -> None:
    bench, standing = registered
    worker, _ = await standing()
    assert (worker.queues, worker.capacity) == ((bench.queue,), 3)


async def test_line_11379_a_worker_says_how_much_memory_it_takes_with_those_it_started(registered: Any) -> None:
    """Here in the process of the test: a child of 64 MiB counts, and is gone with its end."""
    before = (await registered[1]())[0].facts.memory_bytes
    all_of_it = [Process(), *Process().children(recursive=True)]
    assert before == pytest.approx(sum(process.memory_info().rss for process in all_of_it), rel=0.3)
    hold = "import sys; held = bytearray(64 << 20); print(flush=True); sys.stdin.read()"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", hold, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdin is not None and child.stdout is not None
    await child.stdout.readline()
    during = (await registered[1]())[0].facts.memory_bytes
    child.stdin.close()
    await child.wait()
    after = (await registered[1]())[0].facts.memory_bytes
    assert min(during - before, during - after) > 60 << 20


async def test_lines_11385_and_11387_a_worker_counts_what_it_completed(registered: Any) -> None:
    """Not what failed or was stopped."""
    bench, standing = registered
    first = (await standing())[0].facts
    params = params_pb2.TaskParams(diagnostic=params_pb2.DiagnosticParams(payload="x"))
    lost = params_pb2.TaskParams(diagnostic=params_pb2.DiagnosticParams(duration_ms=60_000))
    for name in ("one", "two"):
        bench.service.add(name, params)
        await bench.order((name, 1))
    bench.service.add("long", lost)
    await bench.order(("long", 1))
    await bench.service.until(lambda: len(bench.service.finished) >= 2)
    await bench.cancel("long", 1)
    then = (await standing())[0].facts
    assert then.tasks_completed - first.tasks_completed == 2
    assert then.tasks_per_minute == pytest.approx(60 * then.tasks_completed / then.uptime)
