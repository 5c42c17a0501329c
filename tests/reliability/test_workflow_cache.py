"""The step cache on the whole system: real pictures, real models, and a service that is killed in its midst."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from deploy.local import access
from tests.stack import RunningStack
from tests.waiting import time_passes, until

WORKFLOWS, IMAGES, TASKS = "/api/v1/workflows/", "/api/v1/storage/images", "/api/v1/tasks/"
PACKSHOT = Path(__file__).parents[2] / "examples" / "workflows" / "packshot.json"


@pytest.fixture
async def http(stack: RunningStack) -> AsyncIterator[httpx2.AsyncClient]:
    headers = {"authorization": f"Bearer {stack.api_key}"}
    async with httpx2.AsyncClient(base_url=stack.base_url, headers=headers, timeout=60) as client:
        yield client
    await asyncio.to_thread(stack.wait_recovered)


async def made(http: httpx2.AsyncClient, body: dict[str, Any]) -> str:
    async def ask() -> Any:
        try:
            answer = await http.post(WORKFLOWS, json=body)
        except httpx2.TransportError:
            return None
        return answer.json()["id"] if answer.status_code == 200 else None

    return str(await until(ask, timeout=60, every=0.3))


async def done(http: httpx2.AsyncClient, workflow_id: str) -> dict[str, Any]:
    async def look() -> Any:
        try:
            answer = await http.get(WORKFLOWS + workflow_id)
        except httpx2.TransportError:
            return None
        if answer.status_code != 200:
            return None
        found = answer.json()
        return found if found["status"] not in ("PENDING", "RUNNING") else None

    found: dict[str, Any] = await until(look, timeout=240, every=0.2)
    assert found["status"] == "COMPLETED", found["errors"]
    return found


def packshot(prompt: str = "") -> dict[str, Any]:
    """With every seed given, so that another workflow may be given what it made."""
    body: dict[str, Any] = json.loads(PACKSHOT.read_text())
    body["steps"][0]["config"]["seed"] = 11
    body["steps"][3]["config"] |= {"upscale_seed": 1, "face_detail_seed": 1}
    if prompt:
        body["steps"][0]["config"]["prompt"] = prompt
    return body


async def pictures(http: httpx2.AsyncClient, workflow: dict[str, Any]) -> list[bytes]:
    paths = [path for step in workflow["steps"] for path in paths_of(step["result"])]
    answers = [await http.get(f"{IMAGES}/{path}") for path in paths]
    assert {answer.status_code for answer in answers} == {200}, paths
    return [answer.content for answer in answers]


def paths_of(result: dict[str, Any]) -> list[str]:
    return [result["result_image_path"]] if "result_image_path" in result else result["result_image_paths"]


def statuses(workflow: dict[str, Any]) -> Counter[str]:
    return Counter(step["status"] for step in workflow["steps"])


@pytest.mark.timeout(400)
@pytest.mark.field("cache-outlives-its-files")
async def test_a_packshot_made_again_is_given_all_its_pictures_and_keeps_them_when_the_first_is_cleaned_up(
    http: httpx2.AsyncClient,
) -> None:
    first = await done(http, await made(http, packshot()))
    second = await done(http, await made(http, packshot()))
    assert statuses(second) == {"CACHED": len(second["steps"])}
    assert await pictures(http, second) == await pictures(http, first)
    assert all(step["cached"]["saved_seconds"] > 0 for step in second["steps"])
    assert (await http.post(f"{WORKFLOWS}{first['id']}/cleanup")).status_code == 200
    kept = await pictures(http, second)
    third = await done(http, await made(http, packshot()))
    assert statuses(third) == {"CACHED": len(third["steps"])}
    assert await pictures(http, third) == kept
    for one in (second, third):
        await http.post(f"{WORKFLOWS}{one['id']}/cleanup")
    fourth = await done(http, await made(http, packshot()))
    assert statuses(fourth) == {"COMPLETED": len(fourth["steps"])}, "no file was left"


@pytest.mark.timeout(400)
@pytest.mark.field("cache-stampede")
async def test_ten_of_the_same_at_once_draw_one_picture(http: httpx2.AsyncClient) -> None:
    body = packshot(f"a blue mug {uuid4()}")
    ids = await asyncio.gather(*(made(http, body) for _ in range(10)))
    found = [await done(http, workflow_id) for workflow_id in ids]
    states = sum((statuses(one) for one in found), Counter())
    assert states["COMPLETED"] == len(body["steps"]), states
    assert len({tuple(await pictures(http, one)) for one in found}) == 1


@pytest.mark.timeout(400)
async def test_whoever_is_killed_between_two_writes_nobody_is_left_without_a_picture(
    http: httpx2.AsyncClient, stack: RunningStack
) -> None:
    key = access.create_key(stack.environment, "caches", "stack")
    http.headers["authorization"] = f"Bearer {key}"
    prompts = [f"a red mug {uuid4()}" for _ in range(2)]
    ids = [await made(http, packshot(prompt)) for prompt in prompts for _ in range(3)]
    for _ in range(3):
        await time_passes(1.0, because="a kill comes at some moment")
        stack.kill("tasks")
        await asyncio.to_thread(stack.wait_ready, "tasks")
        ids += [await made(http, packshot(prompt)) for prompt in prompts]
    found = [await done(http, workflow_id) for workflow_id in ids]
    for one in found:
        assert len(await pictures(http, one)) == len(one["steps"])
    listed = (await http.get(f"{TASKS}?limit=1000")).json()
    drawn = Counter(task["prompt"] for task in listed if task["task_type"] == "GENERATION")
    assert all(count <= 2 for count in drawn.values()), drawn
