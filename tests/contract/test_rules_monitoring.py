"""What the contract says of monitoring in sentences; each test is named by the line of seed 002 that says it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx2
import pytest
import pytest_asyncio
from compute.tasks.v1 import worker_pb2, worker_pb2_grpc

from services.catalog.enums import TaskStatus, WorkflowStatus
from services.catalog.monitoring import TaskSort, WorkflowSort
from services.clients.storage_client import StorageClient
from services.durable import numbered_pages
from services.rpc.grpc_client import Credentials
from tests.contract.test_rules import png
from tests.integration.gateway_host import IMAGES, TASKS, TOKEN, Stack, stack
from tests.integration.workflows_host import WORKFLOWS, Flows, probe
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
MONITORING = "/api/v1/monitoring"
FAILURE = worker_pb2.TaskFailure(reason="MODEL_FAILED", message="it broke", category="PROVIDER_ERROR")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(mongodb_url: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with stack(mongodb_url, nats_url, tmp_path_factory.mktemp("objects")) as made:
        yield made


class Looking:
    """A tenant of its own, so that totals are its own, and what it sees."""

    def __init__(self, api: Stack, key: str, tenant: str = "acme") -> None:
        self.api = api
        self.tenant = tenant
        self._headers = {"authorization": f"Bearer {key}"}

    async def create(self, **fields: Any) -> dict[str, Any]:
        body = {"task_type": "GENERATION", "origin_instance": "test", "prompt": "a mug"} | fields
        body = {name: value for name, value in body.items() if value is not None}
        answer = await self.api.http.post(TASKS, json=body, headers=self._headers)
        assert answer.status_code == 200, answer.text
        task: dict[str, Any] = answer.json()
        return task

    async def ask(self, path: str, **query: Any) -> httpx2.Response:
        return await self.api.http.get(MONITORING + path, params=query, headers=self._headers)

    async def get(self, path: str, **query: Any) -> dict[str, Any]:
        answer = await self.ask(path, **query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def ids(self, **query: Any) -> list[str]:
        return [item["id"] for item in (await self.get("/tasks", **query))["items"]]


@pytest_asyncio.fixture(loop_scope="module")
async def look(api: Stack) -> Looking:
    name = f"shop-{uuid4().hex[:8]}"
    return Looking(api, await api.key(name, "admin"), name)


@pytest_asyncio.fixture(loop_scope="module")
async def flows(api: Stack) -> Flows:
    return Flows(api, f"Bearer {await api.key('acme', 'admin')}")


async def test_line_7579_all_filters_are_optional_and_can_be_combined(look: Looking) -> None:
    mine = await look.create(origin_instance="shop", origin_zone="eu", origin_tenant_id="t1")
    other = await look.create(origin_instance="shop", origin_zone="us")
    assert await look.ids() == [other["id"], mine["id"]]
    assert await look.ids(origin_instance="shop", origin_zone="eu") == [mine["id"]]
    assert await look.ids(origin_tenant_id="t1", task_type="GENERATION", status="PENDING") == [mine["id"]]
    assert await look.ids(origin_zone="eu", status="FAILED") == []
    assert await look.ids(task_type="REFINE") == []


async def test_line_7580_a_list_has_duration_and_error_status(look: Looking) -> None:
    well, ill, waiting = [await look.create() for _ in range(3)]
    await look.api.finish(well["id"])
    await look.api.finish(ill["id"], failure=FAILURE)
    found = {item["id"]: item for item in (await look.get("/tasks"))["items"]}
    assert [found[task["id"]]["status"] for task in (well, ill, waiting)] == ["COMPLETED", "FAILED", "PENDING"]
    assert [found[task["id"]]["has_error"] for task in (well, ill, waiting)] == [False, True, False]
    assert found[waiting["id"]]["duration_ms"] is None
    for task in (well, ill):
        item = found[task["id"]]
        started, completed = (datetime.fromisoformat(item[name]) for name in ("started_at", "completed_at"))
        assert item["duration_ms"] == pytest.approx((completed - started).total_seconds() * 1_000)


async def test_line_7595_pages_are_numbered_from_one_and_say_how_many_there_are(look: Looking) -> None:
    made = [(await look.create())["id"] for _ in range(5)][::-1]
    pages = [await look.get("/tasks", page=number, page_size=2) for number in (1, 2, 3, 4)]
    assert [[item["id"] for item in page["items"]] for page in pages] == [made[:2], made[2:4], made[4:], []]
    assert {(page["total"], page["pages"], page["page_size"], page["total_is_lower_bound"]) for page in pages} == {
        (5, 3, 2, False)
    }
    assert [page["page"] for page in pages] == [1, 2, 3, 4]
    assert (await look.get("/tasks"))["page_size"] == 50


@pytest.mark.parametrize(
    "query", [{"page": 0}, {"page_size": 0}, {"page_size": 1001}, {"sort_by": "prompt"}, {"sort_order": "up"},
              {"status": "RUNNING"}, {"created_after": "yesterday"}, {"colour": "red"}]
)  # fmt: skip
async def test_line_7595_what_cannot_be_meant_is_refused_by_name(look: Looking, query: dict[str, Any]) -> None:
    for path in ("/tasks", "/workflows"):
        if path == "/workflows" and query.get("status") == "RUNNING":
            continue
        answer = await look.ask(path, **query)
        assert answer.status_code == 422
        assert [item["loc"][-1] for item in answer.json()["detail"]] == list(query)


async def test_line_7602_search_is_by_the_beginning_of_an_id(look: Looking) -> None:
    made = [(await look.create())["id"] for _ in range(4)]
    for task_id in made:
        assert task_id in await look.ids(search=task_id[:6].upper())
        assert await look.ids(search=task_id) == [task_id]
    assert await look.ids(search="zz") == []
    assert await look.ids(search=".*") == []


@pytest.mark.parametrize("field", list(TaskSort))
async def test_line_7604_tasks_are_sorted_by_any_field_that_is_offered(look: Looking, field: TaskSort) -> None:
    made = [await look.create(priority=number) for number in (3, 1, 2)]
    await look.api.finish(made[1]["id"])
    up = await look.ids(sort_by=field, sort_order="asc")
    down = await look.ids(sort_by=field)
    assert sorted(up) == sorted(down) == sorted(task["id"] for task in made)
    shown = (
        {item["id"]: item[field] for item in (await look.get("/tasks"))["items"]}
        if field != "updated_at"
        else {task["id"]: (await look.get(f"/tasks/{task['id']}"))["updated_at"] for task in made}
    )
    values = [shown[task_id] for task_id in up]
    assert values == sorted(values, key=lambda value: (value is not None, value or 0))
    assert [shown[task_id] for task_id in down] == values[::-1]


async def test_line_7586_tasks_are_found_by_when_they_were_created(look: Looking) -> None:
    first, second, third = [await look.create() for _ in range(3)]
    middle = second["created_at"]
    assert await look.ids(created_after=middle) == [third["id"]]
    assert await look.ids(created_before=middle) == [first["id"]]
    local = datetime.fromisoformat(middle).astimezone(UTC).replace(tzinfo=None)
    just = {"created_after": (local - timedelta(microseconds=1)).isoformat(),
            "created_before": (local + timedelta(microseconds=1)).isoformat()}  # fmt: skip
    assert await look.ids(**just) == [second["id"]]
    assert await look.ids(created_after="0001-01-01T00:00:00Z", created_before="9999-01-01T00:00:00Z", page_size=3) == [
        third["id"], second["id"], first["id"]
    ]  # fmt: skip


async def test_beyond_what_is_counted_a_page_says_so_and_is_of_the_newest(
    look: Looking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbered_pages, "MOST_LOOKED_AT", 3)
    made = [(await look.create(priority=number))["id"] for number in range(5)][::-1]
    first = await look.get("/tasks", page_size=2)
    assert (first["total"], first["total_is_lower_bound"]) == (3, True)
    last = await look.get("/tasks", page=3, page_size=2)
    assert ([item["id"] for item in last["items"]], last["total"], last["total_is_lower_bound"]) == (made[4:], 5, False)
    assert await look.ids(sort_by="priority", sort_order="asc") == made[:3][::-1]
    assert await look.ids(search=made[4]) == []
    stats = await look.get("/stats")
    assert (stats["total_tasks"], stats["total_is_lower_bound"]) == (3, True)


async def test_line_7466_what_was_cleaned_up_leaves_the_list_and_the_counts(look: Looking) -> None:
    kept, cleaned = [await look.create() for _ in range(2)]
    answer = await look.api.http.post(f"{TASKS}{cleaned['id']}/cleanup", headers=look._headers)
    assert answer.status_code == 200
    assert await look.ids() == [kept["id"]]
    assert sorted(await look.ids(include_deleted="true")) == sorted([kept["id"], cleaned["id"]])
    assert (await look.get("/stats"))["total_tasks"] == 1


async def test_line_7735_a_detail_has_settings_and_what_belongs_to_its_type(look: Looking) -> None:
    task = await look.create(config={"shelf": 7}, origin_reference="sku-1", priority=4, width=128)
    await look.api.finish(task["id"])
    found = await look.get(f"/tasks/{task['id']}")
    assert (found["config"], found["origin_reference"], found["priority"]) == ({"shelf": 7}, "sku-1", 4)
    assert (found["queue_name"], found["status"], found["celery_task_id"]) == ("inference", "COMPLETED", None)
    assert (found["retry_count"], found["is_resumed"], found["errors"]) == (0, False, None)
    data = found["task_data"]
    assert (data["prompt"], data["width"]) == ("a mug", 128)
    assert data["result_image_path"] == f"generations/{task['id']}/picture.png"
    assert not {"status", "priority", "created_at"} & data.keys()


async def test_line_7904_media_open_without_a_key_as_an_img_needs_it(look: Looking) -> None:
    stored = f"{IMAGES}/shop/mug.png"
    picture = png()
    kept = await look.api.http.post(stored, files={"file": ("mug.png", picture)}, headers=look._headers)
    assert kept.status_code == 200, kept.text
    for fields, role in (
        ({"task_type": "REFINE", "base_image_url": "shop/mug.png", "upscale_factor": 2}, "base_image"),
        ({"task_type": "BACKGROUND_REMOVAL", "input_image_paths": ["shop/mug.png", "shop/gone.png"]}, "input_image"),
    ):
        task = await look.create(prompt=None, **fields)
        found = await look.get(f"/tasks/{task['id']}/media")
        [given] = found["inputs"]
        assert (given["name"], given["media_type"], given["path"]) == (role, "image", "shop/mug.png")
        opened = await look.api.stranger.get(given["url"])
        assert (opened.status_code, opened.headers["content-type"]) == (200, "image/png")
    made = await look.create()
    result = f"generations/{made['id']}/picture.png"
    files = StorageClient(look.api.channel, Credentials(TOKEN))
    await files.upload(result, picture, tenant=look.tenant, result=True)
    await look.api.finish(made["id"])
    [output] = (await look.get(f"/tasks/{made['id']}/media"))["outputs"]
    assert (output["name"], output["path"]) == ("result_image", result)


async def test_line_7904_media_that_are_gone_are_left_out(look: Looking) -> None:
    task = await look.create()
    await look.api.finish(task["id"])  # which stored nothing
    assert await look.get(f"/tasks/{task['id']}/media") == {"task_id": task["id"], "inputs": [], "outputs": []}


@pytest.mark.parametrize("path", ["/tasks/{}", "/tasks/{}/media"])
async def test_line_7735_what_another_tenant_has_is_not_there(look: Looking, path: str) -> None:
    theirs = await look.api.create()
    answer = await look.ask(path.format(theirs["id"]))
    assert (answer.status_code, answer.json()["reason"]) == (404, "TASK_NOT_FOUND")
    assert theirs["id"] not in await look.ids(search=theirs["id"])


async def test_line_8005_stats_count_by_status_provider_and_type(look: Looking) -> None:
    done, failed, _ = [await look.create(origin_instance="a") for _ in range(3)]
    await look.api.finish(done["id"])
    await look.api.finish(failed["id"], failure=FAILURE)
    found = await look.get("/stats", origin_instance="a")
    assert found["by_status"] == dict.fromkeys(TaskStatus, 0) | {"COMPLETED": 1, "FAILED": 1, "PENDING": 1}
    assert (found["total_tasks"], found["by_task_type"]) == (3, {"GENERATION": 3})
    assert (found["tasks_last_hour"], found["tasks_last_24h"]) == (3, 3)
    assert (await look.get("/stats", origin_zone="nowhere"))["total_tasks"] == 0


async def test_line_8005_stats_count_by_the_provider_that_was_asked_for(look: Looking) -> None:
    body = {"provider_type": "FAL", "active_provider_capabilities": ["TEXT_TO_IMAGE"]}
    task = await look.create(**body)
    assert (await look.get("/stats"))["by_provider"] == {task["provider_type"]: 1}
    assert await look.ids(provider_type=task["provider_type"]) == [task["id"]]
    [item] = (await look.get("/tasks"))["items"]
    assert item["provider_type"] == task["provider_type"]


async def test_line_8127_workflows_are_listed_and_searched_by_name_or_id(api: Stack, flows: Flows) -> None:
    look = Looking(api, flows.authorization.removeprefix("Bearer "))
    name = f"Autumn {uuid4().hex[:6]} (50%)"
    made = await flows.create(probe("a"), probe("b", "a"), name=name, start=False)
    for search in (name, name.lower()[7:], made["id"][:12]):
        found = await look.get("/workflows", search=search)
        assert [item["id"] for item in found["items"]] == [made["id"]], search
        assert (found["total"], found["pages"]) == (1, 1)
    [item] = found["items"]
    assert (item["status"], item["total_steps"], item["completed_steps"], item["has_error"]) == ("PENDING", 2, 0, False)
    assert (item["duration_ms"], item["final_step_id"]) == (None, "b")
    assert (await look.get("/workflows", search=name, status="RUNNING"))["total"] == 0
    assert (await look.get("/workflows", search="(.*"))["total"] == 0
    answer = await api.other.get(f"{MONITORING}/workflows", params={"search": name})
    assert answer.json()["items"] == []


@pytest.mark.parametrize("field", list(WorkflowSort))
async def test_line_8150_workflows_are_sorted_by_any_field_that_is_offered(
    api: Stack, flows: Flows, field: WorkflowSort
) -> None:
    look = Looking(api, flows.authorization.removeprefix("Bearer "))
    instance = uuid4().hex
    for name in ("b", "c", "a"):
        await flows.create(probe("a"), name=name, origin_instance=instance, start=False)
    up, down = [
        (await look.get("/workflows", origin_instance=instance, sort_by=field, sort_order=order))["items"]
        for order in ("asc", "desc")
    ]
    shown = [item.get(field) for item in up]
    assert len(shown) == 3
    assert shown == sorted(shown, key=lambda value: value or "")
    assert [item.get(field) for item in down] == shown[::-1]


async def test_line_8227_workflow_stats_count_by_status_and_average_the_steps(api: Stack, flows: Flows) -> None:
    look = Looking(api, flows.authorization.removeprefix("Bearer "))
    instance = uuid4().hex
    await flows.create(probe("a"), origin_instance=instance, start=False)
    made = await flows.create(probe("a"), probe("b", "a"), probe("c", "a"), origin_instance=instance, start=False)
    await api.http.delete(WORKFLOWS + made["id"])
    found = await look.get("/workflows/stats", origin_instance=instance)
    assert found["by_status"] == dict.fromkeys(WorkflowStatus, 0) | {"PENDING": 1, "CANCELLED": 1}
    assert (found["total_workflows"], found["avg_steps_per_workflow"]) == (2, 2.0)
    assert (found["workflows_last_hour"], found["workflows_last_24h"]) == (2, 2)


async def test_line_8293_steps_come_in_topological_order(api: Stack, flows: Flows) -> None:
    look = Looking(api, flows.authorization.removeprefix("Bearer "))
    made = await flows.create(probe("last", "middle"), probe("middle", "first"), probe("first"))
    await flows.end(made["id"], "first", "one")
    await flows.step(made["id"], "middle")
    found = await look.get(f"/workflows/{made['id']}")
    assert [step["step_id"] for step in found["steps"]] == ["first", "middle", "last"]
    first, middle, last = found["steps"]
    assert (first["status"], first["result"], last["status"]) == ("COMPLETED", {"payload": "one"}, "PENDING")
    assert (first["duration_ms"] >= 0, middle["duration_ms"], middle["dependencies"]) == (True, None, ["first"])
    assert (found["current_step"], found["completed_steps"], found["canvas_task_id"]) == ("middle", 1, None)
    await api.http.delete(WORKFLOWS + made["id"], headers={"authorization": flows.authorization})


async def beat(api: Stack, name: str, queues: list[str], capacity: int, **facts: Any) -> None:
    stub = worker_pb2_grpc.WorkerServiceStub(api.channel)
    request = worker_pb2.HeartbeatTasksRequest(worker_id=name, queues=queues, capacity=capacity, **facts)
    await stub.HeartbeatTasks(request, metadata=Credentials(TOKEN).metadata(), timeout=10)


async def test_line_8567_every_queue_has_its_depth_its_workers_and_what_they_did(look: Looking) -> None:
    await beat(look.api, "worker-q", ["inference"], 3)

    async def inference() -> dict[str, Any]:
        found = await look.get("/queues")
        queues = {queue["name"]: queue for queue in found["queues"]}
        assert set(queues) >= {"inference", "providers"}
        assert found["total_pending"] == sum(queue["depth"] for queue in queues.values())
        assert found["total_active"] == sum(queue["active_tasks"] for queue in queues.values())
        return queues["inference"]

    before = await inference()
    waiting = [await look.create() for _ in range(3)]
    now = await inference()
    assert now["depth"] == before["depth"] + 3
    claimed = await look.api.assign(waiting[0]["id"])
    begun = await inference()
    assert begun["depth"] == before["depth"] + 2
    assert begun["active_tasks"] + begun["reserved_tasks"] == before["active_tasks"] + before["reserved_tasks"] + 1
    assert begun["active_workers"] >= 1
    await look.api.report(waiting[0]["id"], claimed.attempt)

    async def counted() -> Any:
        found = await inference()
        return found["tasks_completed_last_hour"] and found["avg_wait_time_ms"]

    await until(counted, 15.0)


async def test_line_8629_workers_say_what_they_do_and_can_do(look: Looking) -> None:
    await beat(look.api, "worker-a", ["inference", "providers"], 4, memory_bytes=250_000_000, tasks_completed=30,
               uptime_seconds=60.0)  # fmt: skip
    found = await look.get("/workers")
    mine = next(one for one in found["workers"] if one["name"] == "worker-a")
    assert mine == {
        "name": "worker-a",
        "queues": ["inference", "providers"],
        "concurrency": 4,
        "active_tasks": 0,
        "utilization_pct": 0.0,
        "has_capacity": True,
        "tasks_completed_total": 30,
        "tasks_per_minute": 30.0,
        "memory_mb": 250.0,
    }
    assert found["total_workers"] == len(found["workers"])
    assert found["total_capacity"] == sum(one["concurrency"] for one in found["workers"])
    assert found["workers_at_capacity"] == sum(not one["has_capacity"] for one in found["workers"])


async def test_line_8723_it_is_healthy_while_one_worker_can_take_more(look: Looking) -> None:
    await beat(look.api, "worker-h", ["inference"], 1)
    found = await look.get("/workers/health")
    assert found["healthy"] is True
    assert found["workers_with_capacity"] >= 1
    assert "inference" in found["queues_with_workers"]
    assert not set(found["queues_with_workers"]) & set(found["queues_without_workers"])


async def test_queues_and_workers_are_the_operators_too_and_tasks_are_not(api: Stack) -> None:
    look = Looking(api, await api.key("acme", "operator"))
    for path in ("/queues", "/workers", "/workers/health"):
        assert (await look.ask(path)).status_code == 200
    for path in ("/tasks", "/stats", "/workflows", "/workflows/stats"):
        answer = await look.ask(path)
        assert (answer.status_code, answer.json()["reason"]) == (403, "SCOPE_MISSING")
