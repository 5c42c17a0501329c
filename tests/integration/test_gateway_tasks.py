"""Tasks over HTTP, on the real services."""

from __future__ import annotations

import asyncio
import base64
import html
import io
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
import pytest_asyncio
from compute.tasks.v1 import params_pb2, tasks_pb2, worker_pb2
from PIL import Image

from services.clients.storage_client import StorageClient
from services.imaging.recipes import read_recipe
from services.imaging.rights import Rights
from services.inference.context import Outputs
from services.inference.lineage import Lineage
from services.inference.pictures import encode_png
from services.inference.provenance import DigitalSource
from services.messaging.subjects.workers import progress_subject
from services.rpc.grpc_client import Credentials
from tests.fakes.vendors.films import tiny_film
from tests.integration.gateway_host import IMAGES, TASKS, TOKEN, Stack, events, generation, stack
from tests.nats_server import connected
from tests.waiting import turns

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where storage keeps its files."""
    return tmp_path_factory.mktemp("objects")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(mongodb_url: str, nats_url: str, objects: Path) -> AsyncIterator[Stack]:
    async with stack(mongodb_url, nats_url, objects, heartbeat_seconds=0.2, cors_origins="https://app.example") as made:
        yield made


def png(size: tuple[int, int] = (8, 6)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, "PNG")
    return buffer.getvalue()


async def test_a_created_task_comes_back_with_everything_that_was_asked(api: Stack) -> None:
    asked = generation(
        width=128, height=64, seed=2**62, priority=3, config={"label": "x", "n": [1, 2.5, None, True]},
        origin_zone="eu", origin_tenant_id="team", origin_reference="r-1", reference_image_strength=0,
        subject_model_path="loras/a.safetensors", subject_lora_weight=0.8,
        provider_type="LOCAL", provider_config={"steps": 5, "exact": False},
        active_provider_capabilities=[], fallback_provider_type="LOCAL", fallback_provider_capabilities=["LORA"],
    )  # fmt: skip
    created = (await api.http.post(TASKS, json=asked)).json()
    assert {name: created[name] for name in asked} == asked
    assert (created["status"], created["retry_count"], created["progress"]) == ("PENDING", 0, 0)
    assert str(UUID(created["id"])) == created["id"]
    found = (await api.http.get(f"{TASKS}{created['id']}")).json()
    assert found == created


async def test_what_was_left_out_is_null_and_the_priority_is_normal(api: Stack) -> None:
    created = await api.create()
    assert created["priority"] == 1
    assert [created[name] for name in ("width", "seed", "config", "provider_type", "result_image_path")] == [None] * 5
    assert {"celery_task_id", "fal_request_id", "workflow_id"} <= set(created)


async def test_a_finished_task_shows_its_result(api: Stack) -> None:
    task = await api.create(width=64)
    await api.finish(task["id"])
    done = (await api.http.get(f"{TASKS}{task['id']}")).json()
    assert done["status"] == "COMPLETED"
    assert done["result_image_path"] == f"generations/{task['id']}/picture.png"
    assert (done["seed"], done["width"], done["progress"]) == (7, 128, 100)
    assert done["completed_at"] >= done["started_at"] >= done["created_at"]


async def test_a_failed_task_says_why(api: Stack) -> None:
    task = await api.create()
    failure = worker_pb2.TaskFailure(reason="IMAGE_INVALID", message="no picture", category="VALIDATION")
    await api.finish(task["id"], failure=failure)
    failed = (await api.http.get(f"{TASKS}{task['id']}")).json()
    assert (failed["status"], failed["errors"], failed["error_category"]) == ("FAILED", ["no picture"], "VALIDATION")


async def test_lists_are_filtered_and_paged_newest_first(api: Stack) -> None:
    zone = uuid4().hex
    ids = [(await api.create(origin_zone=zone))["id"] for _ in range(3)]
    await api.http.post(f"{TASKS}{ids[0]}/cancel")

    async def listed(path: str = TASKS, **filters: Any) -> list[str]:
        answer = await api.http.get(path, params={"origin_zone": zone, **filters})
        assert answer.status_code == 200, answer.text
        return [task["id"] for task in answer.json()]

    assert await listed() == ids[::-1]
    assert await listed(limit=1, skip=1) == [ids[1]]
    assert await listed(status="CANCELLED") == [ids[0]]
    assert await listed(task_type="BACKGROUND_REMOVAL") == []
    assert await listed(origin_instance="nobody") == []
    assert await listed("/api/v1/tasks/generation") == ids[::-1]
    assert await listed("/api/v1/tasks/generation", workflow_id="none") == []


async def test_the_routes_of_one_type_know_only_their_own(api: Stack) -> None:
    body = {"task_type": "BACKGROUND_REMOVAL", "origin_instance": "test", "input_image_paths": ["a/b.png"]}
    removal = (await api.http.post(TASKS, json=body)).json()
    assert removal["input_image_paths"] == ["a/b.png"]
    assert removal["result_image_paths"] is None
    for method, path in (("GET", ""), ("PUT", ""), ("POST", "/cancel")):
        answer = await api.http.request(method, f"/api/v1/tasks/generation/{removal['id']}{path}", json={})
        assert (answer.status_code, answer.json()["reason"]) == (404, "TASK_NOT_FOUND")
    task = await api.create()
    assert (await api.http.get(f"/api/v1/tasks/generation/{task['id']}")).json() == task


async def test_diagnostic_tasks_are_for_operators(api: Stack) -> None:
    body = {"task_type": "DIAGNOSTIC", "origin_instance": "test", "payload": "x"}
    refused = await api.http.post(TASKS, json=body)
    assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, ["body", "task_type"])
    operator = {"authorization": f"Bearer {await api.key('acme', 'admin')}"}
    task = (await api.http.post(TASKS, json=body, headers=operator)).json()
    assert (await api.http.get(f"{TASKS}{task['id']}")).json()["payload"] == "x"
    listed = [(await api.http.get(TASKS, headers=headers)).text for headers in ({}, operator)]
    assert [task["id"] in text for text in listed] == [False, True]


async def test_cancelling_is_immediate_and_once(api: Stack) -> None:
    task = await api.create()
    cancelled = (await api.http.post(f"{TASKS}{task['id']}/cancel")).json()
    assert cancelled["status"] == "CANCELLED"
    again = await api.http.post(f"{TASKS}{task['id']}/cancel")
    assert (again.status_code, again.json()["reason"]) == (409, "TASK_TERMINAL")


async def test_priority_and_config_of_a_pending_task_can_change(api: Stack) -> None:
    task = await api.create()
    for path in (f"{TASKS}{task['id']}", f"/api/v1/tasks/generation/{task['id']}"):
        changed = (await api.http.put(path, json={"priority": 9, "config": {"a": 1}})).json()
        assert (changed["priority"], changed["config"]) == (9, {"a": 1})


async def test_an_update_may_repeat_what_the_task_says_but_not_change_it(api: Stack) -> None:
    task = await api.create(origin_zone="eu", subject_lora_weight=0.5)
    path = f"/api/v1/tasks/generation/{task['id']}"
    same = {name: task[name] for name in ("status", "origin_zone", "subject_lora_weight", "retry_count")}
    assert (await api.http.put(path, json=same)).json() == task
    for field, value in (("status", "COMPLETED"), ("result_image_path", "x.png"), ("is_resumed", True)):
        answer = await api.http.put(path, json={field: value})
        assert (answer.status_code, answer.json()["reason"]) == (400, "FIELD_READ_ONLY")
        assert answer.json()["violations"][0]["field"] == field
    assert (await api.http.get(path)).json() == task


async def test_a_running_task_can_no_longer_be_changed(api: Stack) -> None:
    task = await api.create()
    await api.assign(task["id"])
    answer = await api.http.put(f"{TASKS}{task['id']}", json={"priority": 2})
    assert (answer.status_code, answer.json()["reason"]) == (409, "TASK_NOT_PENDING")


async def test_the_same_idempotency_key_gives_the_same_task(api: Stack) -> None:
    headers = {"idempotency-key": uuid4().hex}
    first, second = [await api.http.post(TASKS, json=generation(), headers=headers) for _ in range(2)]
    assert first.json()["id"] == second.json()["id"]
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    conflict = await api.http.post(TASKS, json=generation(prompt="another"), headers=headers)
    assert (conflict.status_code, conflict.json()["reason"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    rival = await api.other.post(TASKS, json=generation(), headers=headers)
    assert rival.json()["id"] != first.json()["id"]


async def test_many_creates_at_once_each_get_their_own_answer(api: Stack) -> None:
    bodies = [generation(prompt=f"mug {number}") for number in range(60)]
    answers = await asyncio.gather(*(api.http.post(TASKS, json=body) for body in bodies))
    assert [answer.json()["prompt"] for answer in answers] == [body["prompt"] for body in bodies]
    assert len({answer.json()["id"] for answer in answers}) == 60


async def test_prefer_wait_answers_the_moment_the_task_ends(api: Stack) -> None:
    task = await api.create()
    waiting = asyncio.create_task(api.http.get(f"{TASKS}{task['id']}", headers={"prefer": "wait=15"}))
    await turns()
    began = time.monotonic()
    await api.finish(task["id"])
    answer = await waiting
    assert answer.json()["status"] == "COMPLETED"
    assert answer.headers["preference-applied"] == "wait=15"
    assert time.monotonic() - began < 5


async def test_prefer_wait_on_a_create_ends_with_the_wait(api: Stack) -> None:
    answer = await api.http.post(TASKS, json=generation(), headers={"prefer": "respond-async, wait=1"})
    assert answer.json()["status"] == "PENDING"
    assert answer.headers["preference-applied"] == "wait=1"


async def test_waiting_for_an_ended_task_takes_no_time(api: Stack) -> None:
    task = await api.create()
    await api.http.post(f"{TASKS}{task['id']}/cancel")
    began = time.monotonic()
    answer = await api.http.get(f"{TASKS}{task['id']}", headers={"prefer": "wait=15"})
    assert answer.json()["status"] == "CANCELLED"
    assert time.monotonic() - began < 5


async def test_the_event_stream_shows_progress_with_pictures_and_ends_with_the_task(api: Stack, nats_url: str) -> None:
    task = await api.create()
    seen: list[tuple[str, dict[str, Any]]] = []
    async with (
        await connected(nats_url) as bus,
        api.http.stream("GET", f"{TASKS}{task['id']}/events") as response,
    ):
        assert response.headers["content-type"].startswith("text/event-stream")
        stream = (event async for event in events(response) if event[0] != "status")
        seen.append(await anext(stream))
        progress = tasks_pb2.TaskProgress(task_id=task["id"], step=3, total_steps=20, progress=15, preview_png=png())
        await bus.publish(progress_subject(task["id"]), progress.SerializeToString())
        seen.append(await anext(stream))
        await api.finish(task["id"])
        seen += [event async for event in stream]
    names = [name for name, _ in seen]
    assert names[:2] == ["task", "progress"]
    assert (seen[0][1]["status"], seen[-1][1]["status"]) == ("PENDING", "COMPLETED")
    shown = seen[1][1]
    assert (shown["step"], shown["total_steps"], shown["progress"]) == (3, 20, 15)
    assert base64.b64decode(shown["preview"].removeprefix("data:image/png;base64,")) == png()


async def test_a_silent_event_stream_sends_signs_of_life(api: Stack) -> None:
    task = await api.create()
    async with api.http.stream("GET", f"{TASKS}{task['id']}/events?previews=false") as response:
        async for line in response.aiter_lines():
            if line.startswith(":"):
                break
    await api.http.post(f"{TASKS}{task['id']}/cancel")


async def test_an_inline_reference_picture_is_stored_and_only_its_path_kept(api: Stack) -> None:
    for text in (base64.b64encode(png()).decode(), "data:image/png;base64," + base64.b64encode(png()).decode()):
        task = await api.create(reference_image_data=text, reference_image_strength=40)
        path = task["reference_image_path"]
        assert path.startswith("references/")
        assert "reference_image_data" not in task
        assert (await api.http.get(f"{IMAGES}/{path}")).content == png()


async def test_every_picture_of_an_editing_is_stored_wherever_it_was_sent(api: Stack) -> None:
    text = base64.b64encode(png()).decode()
    body = {
        "task_type": "EDITING",
        "origin_instance": "test",
        "prompt": "make it blue",
        "base_image_data": text,
        "mask_image": text,
        "reference_images": ["a.png", f"data:image/png;base64,{text}"],
        "reference_image_url": "https://example.com/b.png",
    }
    task = (await api.http.post(TASKS, json=body)).json()
    stored = task["base_image_path"]
    assert stored.startswith("references/")
    assert task["mask_image"] == stored
    assert task["reference_images"] == ["a.png", stored, "https://example.com/b.png"]
    assert not {"base_image", "base_image_data", "reference_image_url"} & set(task)


async def test_inline_pictures_in_a_list_keep_their_places(api: Stack) -> None:
    body = {
        "task_type": "BACKGROUND_REMOVAL",
        "origin_instance": "test",
        "input_image_paths": [
            "a.png",
            "data:image/png;base64," + base64.b64encode(png()).decode(),
            "https://example.com/c",
        ],
    }
    paths = (await api.http.post(TASKS, json=body)).json()["input_image_paths"]
    assert (paths[0], paths[2]) == ("a.png", "https://example.com/c")
    assert paths[1].startswith("references/")


async def test_another_tenants_task_is_as_unknown_as_one_that_never_was(api: Stack) -> None:
    task = await api.create()
    asked = [("GET", ""), ("PUT", ""), ("POST", "/cancel"), ("GET", "/events")]
    for method, path in asked:
        body = {"priority": 5} if method == "PUT" else None
        theirs, nobodys = [
            await api.other.request(method, f"{TASKS}{task_id}{path}", json=body)
            for task_id in (task["id"], str(uuid4()))
        ]
        assert theirs.status_code == nobodys.status_code == 404
        assert theirs.json()["reason"] == nobodys.json()["reason"] == "TASK_NOT_FOUND"
    assert task["id"] not in (await api.other.get(TASKS)).text
    assert (await api.http.get(f"{TASKS}{task['id']}")).json() == task


async def test_a_request_id_is_kept_or_made(api: Stack) -> None:
    given = await api.http.get(TASKS, headers={"x-request-id": "abc-123"})
    assert given.headers["x-request-id"] == "abc-123"
    wrong = await api.http.get(f"{TASKS}nothing", headers={"x-request-id": "no spaces <please>"})
    assert wrong.headers["x-request-id"] == wrong.json()["request_id"]
    assert " " not in wrong.headers["x-request-id"]


async def test_browsers_of_the_allowed_origins_may_ask(api: Stack) -> None:
    asking = {"origin": "https://app.example", "access-control-request-method": "POST"}
    preflight = await api.stranger.request("OPTIONS", TASKS, headers=asking)
    assert preflight.headers["access-control-allow-origin"] == "https://app.example"
    answer = await api.stranger.get(TASKS, headers={"origin": "https://app.example"})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (401, "https://app.example")
    foreign = await api.http.get(TASKS, headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in foreign.headers


async def test_health_names_every_dependency_and_needs_no_key(api: Stack) -> None:
    answer = await api.stranger.get("/health")
    assert answer.status_code == 200
    assert {name: item["status"] for name, item in answer.json()["dependencies"].items()} == {
        "tasks": "up", "access": "up", "storage": "up", "workers": "down", "models": "up", "nats": "up",
        "workflows": "up",
    }  # fmt: skip


async def test_the_documents_are_served_without_a_key(api: Stack) -> None:
    document = (await api.stranger.get("/openapi.json")).json()
    assert "/api/v1/tasks/" in document["paths"]
    told = (await api.stranger.get("/asyncapi.json")).json()
    assert (told["asyncapi"], "taskEvents" in told["channels"]) == ("3.0.0", True)
    page = await api.stranger.get("/docs")
    assert 'href="/asyncapi.json"' in page.text
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "Create Task" in page.text
    assert f'"{api.url}/api/v1/tasks/"' in html.unescape(page.text)


async def test_a_task_s_provenance_is_what_its_file_says_and_who_was_asked(api: Stack) -> None:
    task = await api.create()
    source = DigitalSource.GENERATED
    png = encode_png(np.zeros((8, 8, 3), np.uint8), {"seed": 7, "model": {"sha256": "ab" * 32}}, source=source)
    stored = await api.http.post(f"{IMAGES}/drawn.png", files={"file": png})
    assert stored.status_code == 200, stored.text
    path = stored.json()["path"]
    picture = params_pb2.GenerationResult(result_image_path=path, width=8, height=8)
    await api.finish(task["id"], result=params_pb2.TaskResult(generation=picture))
    told = (await api.http.get(f"{TASKS}{task['id']}/provenance")).json()
    [file] = told["files"]
    assert (told["task_id"], file["path"]) == (task["id"], path)
    assert (file["recipe"]["seed"], file["recipe"]["digital_source_type"]) == (7, source.uri)
    downloaded = (await api.http.get(f"{IMAGES}/{path}")).content
    assert read_recipe(downloaded) == file["recipe"]
    assert file["in_file"]
    assert (await api.other.get(f"{TASKS}{task['id']}/provenance")).status_code == 404


async def test_provenance_is_told_of_a_film_by_its_end_and_of_a_file_by_what_lies_beside_it(api: Stack) -> None:
    asked = {"task_type": "EXPERIMENTAL_FAL", "origin_instance": "test", "fal_app_id": "acme/app"}
    task = (await api.http.post(TASKS, json=asked)).json()
    outputs = Outputs("acme", "experimental_fals", task["id"], 1, StorageClient(api.channel, Credentials(TOKEN)))
    film = tiny_film() + (1 << 20).to_bytes(4) + b"free" + bytes((1 << 20) - 8)
    files = {"film.mp4": film, "small.mp4": tiny_film(), "weights.zip": b"PK\x03\x04"}
    paths = [await outputs.save_as_made(name, content, {"seed": 7}, None) for name, content in files.items()]
    paths += [await outputs.save("answer.json", b"{}"), "experimental_fals/gone.png"]
    result = params_pb2.ExperimentalFalResult(result_paths={"values": paths})
    await api.finish(task["id"], result=params_pb2.TaskResult(experimental_fal=result))
    told = (await api.http.get(f"{TASKS}{task['id']}/provenance")).json()["files"]
    assert [file["path"] for file in told] == paths
    assert [file["in_file"] for file in told] == [True, True, False, False, False]
    assert [(file["recipe"] or {}).get("seed") for file in told] == [7, 7, 7, None, None]
    assert "no place" in told[2]["recipe"]["beside_the_file_because"]


@pytest.mark.field("21")
async def test_provenance_tells_the_whole_line_of_a_picture(api: Stack) -> None:
    """Drawn, cropped, then handed on as it came."""
    task = await api.create()
    outputs = Outputs("acme", "generations", task["id"], 1, StorageClient(api.channel, Credentials(TOKEN)))
    pixels = np.zeros((8, 8, 3), np.uint8)
    drawn = Rights(digital_source=DigitalSource.GENERATED.uri, recipe={"seed": 7, "prompt": "a red mug"})
    first = Lineage((("input_image", drawn),))
    cropped = encode_png(pixels, {"applied_mode": "crop"}, source=DigitalSource.ENHANCED, lineage=first)
    made = read_recipe(cropped)
    assert made is not None
    second = Lineage((("input_image", Rights(digital_source=made["digital_source_type"], recipe=made)),))
    paths = [
        await outputs.save("cropped.png", cropped),
        await outputs.save_as_given("same.png", [cropped], {"applied_mode": "none"}, second),
    ]
    removed = params_pb2.BackgroundRemovalResult(result_image_paths={"values": paths})
    result = params_pb2.TaskResult(background_removal=removed)
    for path, sha256 in outputs.files.items():
        result.files.add(path=path, sha256=sha256)
    asked = {"task_type": "BACKGROUND_REMOVAL", "origin_instance": "test", "input_image_paths": ["a.png"]}
    task = (await api.http.post(TASKS, json=asked)).json()
    await api.finish(task["id"], result=result)
    once, twice = (await api.http.get(f"{TASKS}{task['id']}/provenance")).json()["files"]
    assert (once["in_file"], once["recipe"]["applied_mode"]) == (True, "crop")
    assert (twice["in_file"], twice["recipe"]["applied_mode"]) == (False, "none")
    assert [(item["generation"], item["recipe"].get("seed")) for item in once["made_from"]] == [(1, 7)]
    assert [item["recipe"].get("applied_mode", item["recipe"].get("prompt")) for item in twice["made_from"]] == [
        "crop",
        "a red mug",
    ]
    for file in (once, twice):
        assert file["unchanged"] and "made_from" not in file["recipe"]
        assert file["recipe"]["digital_source_type"] == DigitalSource.GENERATED.uri


@pytest.mark.field("result-overwritten")
async def test_the_results_of_a_task_cannot_be_overwritten_and_provenance_tells_a_file_that_is_another(
    api: Stack, objects: Path
) -> None:
    task = await api.create()
    outputs = Outputs("acme", "generations", task["id"], 1, StorageClient(api.channel, Credentials(TOKEN)))
    drawn, other = (encode_png(np.full((8, 8, 3), grey, np.uint8), {"seed": grey}) for grey in (0, 255))
    path = await outputs.save("picture.png", drawn)
    picture = params_pb2.GenerationResult(result_image_path=path, width=8, height=8)
    result = params_pb2.TaskResult(generation=picture)
    result.files.add(path=path, sha256=outputs.files[path])
    await api.finish(task["id"], result=result)
    url = f"{IMAGES}/{path}"
    etag = (await api.http.head(url)).headers["etag"]
    for refused in (
        await api.http.post(url, files={"file": other}),
        await api.http.post(url, files={"file": other}, headers={"if-match": etag}),
        await api.http.delete(url),
    ):
        assert (refused.status_code, refused.json()["reason"]) == (409, "RESULT_IMMUTABLE")
    provenance = f"{TASKS}{task['id']}/provenance"
    [file] = (await api.http.get(provenance)).json()["files"]
    assert (file["unchanged"], file["recipe"]["seed"]) == (True, 0)
    stored = objects / "acme" / path
    stored.chmod(0o600)
    stored.write_bytes(other)
    [file] = (await api.http.get(provenance)).json()["files"]
    assert (file["unchanged"], file["recipe"]["seed"]) == (False, 255)
    cleaned = await api.http.post(f"{TASKS}{task['id']}/cleanup")
    assert cleaned.json()["deleted_paths"] == [path]
    [file] = (await api.http.get(provenance)).json()["files"]
    assert file["unchanged"] is None
    assert (await api.http.post(url, files={"file": other})).status_code == 409


@pytest.mark.field("upload-into-task-folder")
async def test_nobody_s_file_is_taken_into_a_folder_that_goes_with_a_task(api: Stack) -> None:
    running, ended = await api.create(), await api.create()
    await api.finish(ended["id"])
    content = encode_png(np.zeros((8, 8, 3), np.uint8))
    for name in (running["id"], ended["id"], ended["id"].upper(), str(uuid4())):
        for path in (f"generations/{name}/mine.png", f"refines/{name}/a/b.png", f"generations/{name}", "generations"):
            answer = await api.http.post(f"{IMAGES}/{path}", files={"file": content})
            assert (answer.status_code, answer.json().get("reason")) == (409, "RESULT_IMMUTABLE"), path
            assert (await api.http.get(f"{IMAGES}/{path}")).status_code == 404
    for path in ("generations/mine.png", "generations/spring/mine.png", f"shop/{ended['id']}/mine.png"):
        assert (await api.http.post(f"{IMAGES}/{path}", files={"file": content})).status_code == 200, path
        assert (await api.http.post(f"{TASKS}{ended['id']}/cleanup")).status_code == 200
        assert (await api.http.get(f"{IMAGES}/{path}")).status_code == 200


async def test_a_task_without_results_has_no_files_to_tell_of(api: Stack) -> None:
    told = (await api.http.get(f"{TASKS}{(await api.create())['id']}/provenance")).json()
    assert (told["files"], told["provider_calls"]) == ([], [])
