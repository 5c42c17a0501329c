"""Changing and resuming tasks of every type over HTTP, on the real services."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from compute.tasks.v1 import worker_pb2

from services.catalog.generation_update import GenerationTaskUpdate
from services.catalog.schemas import SCHEMAS
from tests.integration.gateway_host import TASKS, Stack, stack
from tests.unit import test_catalog_types

pytestmark = pytest.mark.asyncio(loop_scope="module")
EVERY_TYPE = sorted(SCHEMAS)
BODIES: dict[str, dict[str, Any]] = test_catalog_types.BODIES | {
    "GENERATION": {"prompt": "x", "subject_lora_weight": 0.5},
    "BACKGROUND_REMOVAL": {"input_image_paths": ["a/b.png"]},
}
CHANGEABLE = {"priority", "config"}
# Another value than the task's, by how the field is shown; null ones take whichever the schema lets pass.
_OTHERS: tuple[Any, ...] = (
    "COMPLETED", "FAL", "RATE_LIMIT", "EDITING", "GENERATION", "other", 77, 0.25, True, ["other"], {"other": 1},
    [{"other": 1}], "2020-01-01T00:00:00Z", [],
)  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(mongodb_url: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with stack(mongodb_url, nats_url, tmp_path_factory.mktemp("objects")) as made:
        yield made


async def create(api: Stack, kind: str) -> dict[str, Any]:
    answer = await api.http.post(TASKS, json={"task_type": kind, "origin_instance": "test", **BODIES[kind]})
    assert answer.status_code == 200, answer.text
    task: dict[str, Any] = answer.json()
    return task


async def test_every_type_has_a_body_here() -> None:
    assert set(EVERY_TYPE) == set(BODIES)


@pytest.mark.parametrize("kind", EVERY_TYPE)
async def test_priority_and_config_of_every_type_can_change(api: Stack, kind: str) -> None:
    task = await create(api, kind)
    for body in ({"priority": 9}, {"config": {"a": [1, None]}}, {"priority": None, "config": None}):
        changed = await api.http.put(f"{TASKS}{task['id']}", json=body)
        assert changed.status_code == 200, changed.text
    shown = changed.json()
    assert shown == {**task, "priority": 9, "config": {"a": [1, None]}, "updated_at": shown["updated_at"]}


@pytest.mark.parametrize("kind", EVERY_TYPE)
async def test_what_a_task_of_any_type_says_may_be_sent_back(api: Stack, kind: str) -> None:
    task = await create(api, kind)
    routes = [(f"{TASKS}{task['id']}", SCHEMAS[kind].update)]
    if kind == "GENERATION":
        routes.append((f"/api/v1/tasks/generation/{task['id']}", GenerationTaskUpdate))
    for path, model in routes:
        same = {name: task[name] for name in model.model_fields if name in task}
        answer = await api.http.put(path, json=same)
        assert (answer.status_code, answer.json()) == (200, task)


@pytest.mark.parametrize("kind", EVERY_TYPE)
async def test_no_other_field_of_any_type_can_change(api: Stack, kind: str) -> None:
    """Each field of the type's update, with a value that its schema takes and the task does not have."""
    task = await create(api, kind)
    for name in SCHEMAS[kind].update.model_fields.keys() - CHANGEABLE:
        refused = [
            answer.json()
            for other in _OTHERS
            if other != task.get(name)
            and (answer := await api.http.put(f"{TASKS}{task['id']}", json={name: other})).status_code == 400
        ]
        assert refused, f"no value of {name} reached the task"
        assert {item["reason"] for item in refused} == {"FIELD_READ_ONLY"}
        assert {item["violations"][0]["field"] for item in refused} == {name}
    assert (await api.http.get(f"{TASKS}{task['id']}")).json() == task


@pytest.mark.parametrize("kind", EVERY_TYPE)
async def test_a_field_that_is_no_part_of_the_types_update_is_refused(api: Stack, kind: str) -> None:
    task = await create(api, kind)
    answer = await api.http.put(f"{TASKS}{task['id']}", json={"prompt": "another"})
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "prompt"])


async def test_a_failed_task_is_resumed_with_its_history(api: Stack) -> None:
    task = await api.create()
    early = await api.http.post(f"{TASKS}{task['id']}/resume")
    assert (early.status_code, early.json()["reason"]) == (409, "ILLEGAL_TRANSITION")
    failure = worker_pb2.TaskFailure(reason="IMAGE_INVALID", message="no picture", category="VALIDATION")
    await api.finish(task["id"], failure=failure)
    resumed = (await api.http.post(f"{TASKS}{task['id']}/resume")).json()
    assert (resumed["status"], resumed["errors"], resumed["completed_at"]) == ("PENDING", ["no picture"], None)
    await api.finish(task["id"])
    again = await api.http.post(f"{TASKS}{task['id']}/resume")
    assert (again.status_code, again.json()["reason"]) == (409, "TASK_TERMINAL")
    stranger = await api.other.post(f"{TASKS}{task['id']}/resume")
    assert (stranger.status_code, stranger.json()["reason"]) == (404, "TASK_NOT_FOUND")


@pytest.mark.field("exact-integers")
@pytest.mark.field("true-for-one")
async def test_a_changed_configuration_comes_back_as_it_was_sent(api: Stack) -> None:
    task = await api.create(config={"a": 1})
    url = f"{TASKS}{task['id']}"
    for text in ('{"b":9007199254740993,"a":{"z":null,"y":[7.0,-9223372036854775808]}}', '{"a":true}', '{"a":1}', "{}"):
        answer = await api.http.put(url, content=f'{{"config":{text}}}', headers={"content-type": "application/json"})
        assert answer.status_code == 200, answer.text
        assert f'"config":{text},' in answer.text
        assert f'"config":{text},' in (await api.http.get(url)).text


async def test_the_same_configuration_in_another_spelling_changes_nothing(api: Stack) -> None:
    task = await api.create(config={"a": 7.0, "b": {"c": 1, "d": 2}})
    body = {"config": {"b": {"d": 2.0, "c": 1}, "a": 7}}
    same = (await api.http.put(f"{TASKS}{task['id']}", json=body)).json()
    assert same == task


@pytest.mark.field("true-for-one")
@pytest.mark.parametrize("other", [{"a": True}, {"a": 1, "b": None}, {"a": 10**30}])
async def test_settings_that_cannot_change_are_compared_as_json(api: Stack, other: dict[str, Any]) -> None:
    body = {"task_type": "EXPERIMENTAL_FAL", "origin_instance": "test", "fal_app_id": "a/b", "fal_parameters": {"a": 1}}
    task = (await api.http.post(TASKS, json=body)).json()
    url = f"{TASKS}{task['id']}"
    answer = await api.http.put(url, json={"fal_parameters": other})
    assert answer.status_code in (400, 422), answer.text
    assert (await api.http.put(url, json={"fal_parameters": {"a": 1.0}})).json() == task
