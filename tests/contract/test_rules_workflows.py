"""What the contract says of workflows in sentences; each test is named by the line of seed 002 that says it.

Its fields are in `test_rules_workflow_fields.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from services.catalog.enums import StepStatus, WorkflowStatus
from services.clients.storage_client import StorageClient
from services.rpc.grpc_client import Credentials
from tests.contract.test_rules import png
from tests.integration.gateway_host import IMAGES, TASKS, TOKEN, Stack, stack
from tests.integration.workflows_host import WORKFLOWS, Flows, position, probe
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
DRAW: dict[str, Any] = {"id": "draw", "task_type": "GENERATION", "config": {"prompt": "a red mug"}}
WHOLE: dict[str, Any] = {"name": "w", "origin_instance": "test", "steps": [DRAW]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(mongodb_url: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with stack(mongodb_url, nats_url, tmp_path_factory.mktemp("objects")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def flows(api: Stack) -> Flows:
    return Flows(api, f"Bearer {await api.key('acme', 'admin')}")


async def refused(api: Stack, **fields: Any) -> list[str]:
    """Places of what is wrong with a body."""
    answer = await api.http.post(WORKFLOWS, json={**WHOLE, **fields})
    assert answer.status_code == 422, answer.text
    return [".".join(map(str, item["loc"][1:])) for item in answer.json()["detail"]]


async def test_line_5270_a_workflow_is_started_at_once_unless_start_is_false(flows: Flows) -> None:
    begun, waiting = await flows.create(probe("a")), await flows.create(probe("a"), start=False)
    assert (begun["status"], waiting["status"]) == ("RUNNING", "PENDING")
    await flows.end(begun["id"], "a")
    assert (await flows.get(waiting["id"]))["status"] == "PENDING"


@pytest.mark.parametrize("name", ["name", "steps", "origin_instance"])
async def test_line_5272_the_definition_must_have_its_three_fields(api: Stack, name: str) -> None:
    answer = await api.http.post(WORKFLOWS, json={key: value for key, value in WHOLE.items() if key != name})
    assert [item["loc"] for item in answer.json()["detail"]] == [["body", name]]


@pytest.mark.parametrize("name", ["id", "task_type"])
async def test_line_5273_a_step_must_have_an_id_and_a_type(api: Stack, name: str) -> None:
    step = {key: value for key, value in DRAW.items() if key != name}
    assert await refused(api, steps=[step]) == [f"steps.0.{name}"]


async def test_line_5273_ids_are_unique_and_steps_form_a_graph_without_circles(api: Stack) -> None:
    for steps in ([DRAW, DRAW], [{**DRAW, "depends_on": ["draw"]}]):
        answer = await api.http.post(WORKFLOWS, json={**WHOLE, "steps": steps})
        assert (answer.status_code, answer.json()["reason"]) == (400, "WORKFLOW_INVALID")


async def test_line_5275_the_created_workflow_comes_back_with_all_its_steps(flows: Flows) -> None:
    made = await flows.create(probe("a"), probe("b", "a"), start=False)
    assert [step["step_id"] for step in made["steps"]] == ["a", "b"]
    assert len({step["id"] for step in made["steps"]}) == 2
    assert {step["status"] for step in made["steps"]} == {"PENDING"}


LIMITS = [
    ("name", 255, 5317),
    ("description", 1000, 5324),
    ("origin_instance", 100, 5352),
    ("origin_zone", 50, 5358),
    ("origin_tenant_id", 100, 5369),
    ("origin_reference", 512, 5380),
]


@pytest.mark.parametrize(("name", "most"), [limit[:2] for limit in LIMITS], ids=lambda value: str(value))
async def test_lines_5317_to_5400_texts_are_bounded(api: Stack, name: str, most: int) -> None:
    made = await api.http.post(f"{WORKFLOWS}?start=false", json={**WHOLE, name: "x" * most})
    assert (made.status_code, made.json()[name]) == (200, "x" * most)
    assert await refused(api, **{name: "x" * (most + 1)}) == [name]


async def test_line_5341_there_is_at_least_one_step(api: Stack) -> None:
    assert await refused(api, steps=[]) == ["steps"]


async def test_line_5393_a_webhook_address_has_at_most_512_characters(api: Stack) -> None:
    begin = "https://shop.example/"
    assert await refused(api, webhook_url=begin + "x" * 492) == ["webhook_url"]
    good = begin + "x" * (512 - len(begin))
    made = await api.http.post(f"{WORKFLOWS}?start=false", json={**WHOLE, "webhook_url": good})
    assert made.json()["webhook_url"] == good


async def test_line_5762_deleted_workflows_are_listed_on_request_only(api: Stack, flows: Flows) -> None:
    made = await flows.create(probe("a"), start=False, origin_instance="line-5762")
    await flows.post(made["id"], "cleanup")
    query: dict[str, Any] = {"origin_instance": "line-5762"}
    assert (await api.http.get(WORKFLOWS, params=query)).json()["workflows"] == []
    [shown] = (await api.http.get(WORKFLOWS, params={**query, "include_deleted": True})).json()["workflows"]
    assert (shown["id"], shown["is_deleted"], shown["deleted_at"] is not None) == (made["id"], True, True)


async def test_line_5762_lists_filter_by_status_instance_and_tenant(api: Stack, flows: Flows) -> None:
    made = await flows.create(probe("a"), start=False, origin_instance="line-5762b", origin_tenant_id="shop-7")
    for query, found in (
        ({"origin_tenant_id": "shop-7"}, [made["id"]]),
        ({"origin_tenant_id": "shop-7", "status": "PENDING"}, [made["id"]]),
        ({"origin_tenant_id": "shop-7", "status": "RUNNING"}, []),
        ({"origin_tenant_id": "shop-7", "origin_instance": "elsewhere"}, []),
    ):
        page = (await api.http.get(WORKFLOWS, params=query)).json()
        assert [item["id"] for item in page["workflows"]] == found, query
        assert page["total"] == len(found)


async def test_line_5763_the_newest_workflow_comes_first(api: Stack, flows: Flows) -> None:
    made = [await flows.create(probe("a"), start=False, origin_instance="line-5763") for _ in range(3)]
    page = (await api.http.get(WORKFLOWS, params={"origin_instance": "line-5763"})).json()
    assert [item["id"] for item in page["workflows"]] == [one["id"] for one in reversed(made)]


async def test_line_5771_a_page_has_50_from_the_first_on(api: Stack) -> None:
    page = (await api.http.get(WORKFLOWS)).json()
    assert (page["limit"], page["skip"]) == (50, 0)


async def test_line_6191_name_description_and_webhook_url_can_change(api: Stack, flows: Flows) -> None:
    made = await flows.create(probe("a"), start=False)
    changes = {"name": "n", "description": "d", "webhook_url": "https://shop.example/hook"}
    changed = (await api.http.patch(WORKFLOWS + made["id"], json=changes)).json()
    assert {name: changed[name] for name in changes} == changes
    for name, value in (("status", "COMPLETED"), ("config", {}), ("steps", [])):
        assert (await api.http.patch(WORKFLOWS + made["id"], json={name: value})).status_code == 422


@pytest.mark.parametrize("changes", [{"name": ""}, {"name": "x" * 256}, {"description": "x" * 1001}])
async def test_lines_6201_to_6244_the_same_bounds_hold_for_a_change(
    api: Stack, flows: Flows, changes: dict[str, str]
) -> None:
    made = await flows.create(probe("a"), start=False)
    assert (await api.http.patch(WORKFLOWS + made["id"], json=changes)).status_code == 422


async def test_line_6544_pending_and_running_workflows_can_be_cancelled_with_their_tasks(
    api: Stack, flows: Flows
) -> None:
    waiting, running = await flows.create(probe("a"), start=False), await flows.create(probe("a"))
    task_id = (await flows.step(running["id"], "a"))["task_id"]
    for made in (waiting, running):
        answer = await api.http.delete(WORKFLOWS + made["id"])
        assert (answer.status_code, answer.json()["status"]) == (200, "CANCELLED")
        assert (await api.http.delete(WORKFLOWS + made["id"])).status_code == 409

    async def over() -> bool:
        found = await api.http.get(f"{TASKS}{task_id}", headers={"authorization": flows.authorization})
        return found.status_code == 404 or found.json()["status"] == "CANCELLED"

    await until(over, timeout=10)


async def test_line_6851_only_a_pending_workflow_can_be_started(flows: Flows) -> None:
    made = await flows.create(probe("a"), start=False)
    assert (await flows.post(made["id"], "start"))["status"] == "RUNNING"
    await flows.post(made["id"], "start", 409)
    await flows.end(made["id"], "a")
    await flows.ended(made["id"], "COMPLETED")
    await flows.post(made["id"], "start", 409)


async def test_line_7157_a_failed_workflow_is_resumed_from_its_last_checkpoint(flows: Flows) -> None:
    made = await flows.create(probe("a"), probe("b", "a"))
    await flows.post(made["id"], "resume", 409)
    await flows.end(made["id"], "a", "kept")
    await flows.end(made["id"], "b", reason="NO", message="no", category="VALIDATION")
    failed = await flows.ended(made["id"], "FAILED")
    resumed = await flows.post(made["id"], "resume")
    assert resumed["steps"][0]["status"] == "COMPLETED"
    await flows.end(made["id"], "b")
    done = await flows.ended(made["id"], "COMPLETED")
    assert done["steps"][0]["task_id"] == failed["steps"][0]["task_id"]
    assert done["steps"][1]["result"] == {"payload": "kept"}
    await flows.post(made["id"], "resume", 409)


async def test_line_7158_a_paused_workflow_is_resumed(flows: Flows) -> None:
    made = await flows.create(probe("a"))
    await flows.post(made["id"], "pause")
    assert (await flows.post(made["id"], "resume"))["status"] == "RUNNING"
    await flows.end(made["id"], "a")
    await flows.ended(made["id"], "COMPLETED")


async def drawn(api: Stack) -> tuple[str, str, str]:
    """A workflow that is COMPLETED, its task and that task's picture."""
    made = (await api.http.post(WORKFLOWS, json={**WHOLE, "origin_instance": "lines-7464"})).json()
    flows = Flows(api, api.http.headers["authorization"])
    task_id = (await flows.step(made["id"], "draw"))["task_id"]
    path = f"generations/{task_id}/picture.png"
    await StorageClient(api.channel, Credentials(TOKEN)).upload(path, png(), tenant="acme", result=True)
    await until(lambda: _there(api, task_id))
    await api.finish(task_id)
    await flows.ended(made["id"], "COMPLETED")
    return made["id"], task_id, path


async def _there(api: Stack, task_id: str) -> bool:
    return (await api.http.get(f"{TASKS}{task_id}")).status_code == 200


async def test_lines_7464_to_7469_a_clean_up_deletes_files_and_tells_what_it_did(api: Stack) -> None:
    workflow_id, task_id, path = await drawn(api)
    answer = await api.http.post(f"{WORKFLOWS}{workflow_id}/cleanup")
    done = answer.json()
    assert done["workflow"]["is_deleted"] is True
    assert done["cleanup"] == {"tasks_processed": 1, "tasks_cleaned": 1, "deleted_paths": [path], "errors": []}
    assert (await api.http.get(f"{IMAGES}/{path}")).status_code == 404
    listed = (await api.http.get(TASKS, params={"origin_instance": "lines-7464"})).json()
    assert task_id not in [task["id"] for task in listed], "7466: out of the lists by default"
    all_ = (await api.http.get(TASKS, params={"origin_instance": "lines-7464", "include_deleted": True})).json()
    assert task_id in [task["id"] for task in all_]
    again = (await api.http.post(f"{WORKFLOWS}{workflow_id}/cleanup")).json()
    assert again["cleanup"]["deleted_paths"] == []


async def test_line_7476_cleanup_tasks_false_leaves_tasks_and_files(api: Stack) -> None:
    workflow_id, task_id, path = await drawn(api)
    done = (await api.http.post(f"{WORKFLOWS}{workflow_id}/cleanup?cleanup_tasks=false")).json()
    assert done["workflow"]["is_deleted"] is True
    assert done["cleanup"]["tasks_processed"] == 0
    assert (await api.http.get(f"{IMAGES}/{path}")).status_code == 200
    assert (await api.http.get(f"{TASKS}{task_id}")).json()["is_deleted"] is False


async def test_line_8261_the_statuses_are_those_that_are_printed() -> None:
    printed = {"PENDING", "RUNNING", "PAUSED", "COMPLETED", "FAILED", "CANCELLED"}
    assert {*WorkflowStatus} == printed
    assert "PENDING" in {*StepStatus}


async def test_line_9595_its_tasks_tell_nothing_of_themselves_unless_that_is_wanted(api: Stack, flows: Flows) -> None:
    for wanted, expected in (({}, 0), ({"suppress_subtask_events": False}, 1)):
        before = await position(api)
        made = await flows.create(probe("a"), **wanted)
        assert made["suppress_subtask_events"] == (not wanted)
        task_id = (await flows.step(made["id"], "a"))["task_id"]
        await flows.end(made["id"], "a")
        await flows.ended(made["id"], "COMPLETED")
        headers = {"authorization": flows.authorization, "last-event-id": before}
        told = ""
        async with asyncio.timeout(30):
            while expected and "TASK_COMPLETED" not in told:
                told = (await api.http.get(f"{TASKS}{task_id}/events", headers=headers)).text
            told = told or (await api.http.get(f"{TASKS}{task_id}/events", headers=headers)).text
        assert ("TASK_COMPLETED" in told) == bool(expected)


async def test_line_9597_the_webhook_is_called_when_the_workflow_completes(api: Stack, flows: Flows) -> None:
    made = await flows.create(probe("a"), webhook_url="https://nobody.example/of-a-workflow")
    await flows.end(made["id"], "a")

    async def recorded() -> Any:
        found = (await api.http.get("/api/v1/webhooks/deliveries")).json()
        return [one for one in found if one["task_id"] == made["id"]]

    [delivery] = await until(recorded)
    assert delivery["event_type"] == "atelier.workflow.completed.v1"


async def test_lines_10050_to_10056_a_mapping_names_a_result_and_a_parameter_and_may_change_the_value(
    flows: Flows,
) -> None:
    mapping = {"from_step": "a", "from_field": "payload", "to_field": "payload", "transform": "TEMPLATE"}
    mapping |= {"transform_args": {"template": "more of {value}"}}  # type: ignore[dict-item]  # one of them is an object
    made = await flows.create(probe("a"), probe("b", "a", input_mappings=[mapping]))
    assert made["steps"][1]["input_mappings"] == [mapping]
    assert made["steps"][1]["dependencies"] == ["a"]
    await flows.end(made["id"], "a", "that")
    await flows.end(made["id"], "b")
    assert (await flows.ended(made["id"], "COMPLETED"))["final_step_result"] == {"payload": "more of that"}


async def test_lines_11605_to_11629_a_step_shows_what_was_said_of_it(api: Stack) -> None:
    step = {
        **DRAW,
        "config": {"prompt": "a red mug", "width": 512, "priority": 9},
        "provider_config": {"provider_type": "FAL"},
        "active_provider_capabilities": ["TEXT_TO_IMAGE"],
        "fallback_provider_type": "LOCAL",
        "fallback_provider_config": {},
        "fallback_provider_capabilities": ["TEXT_TO_IMAGE"],
        "max_retries": 4,
    }
    made = (await api.http.post(f"{WORKFLOWS}?start=false", json={**WHOLE, "steps": [step]})).json()
    [shown] = made["steps"]
    assert {name: shown[name] for name in step if name != "id"} == {
        name: value for name, value in step.items() if name != "id"
    }
    assert (shown["step_id"], shown["retry_count"]) == ("draw", 0)


async def test_line_11626_the_provider_is_named_inside_its_configuration(api: Stack) -> None:
    steps = [{**DRAW, "provider_config": {"provider_type": "FAL", "zeal": 3}}]
    answer = await api.http.post(WORKFLOWS, json={**WHOLE, "steps": steps})
    assert answer.status_code == 422
    assert "zeal" in answer.text


async def test_lines_11547_to_11602_what_is_easily_forgotten_is_there(api: Stack, flows: Flows) -> None:
    made = await flows.create(probe("a"), probe("b", "a"), config={"season": "autumn"}, origin_reference="ref-1")
    running = await flows.step(made["id"], "a")
    shown = await flows.get(made["id"])
    assert shown["current_step"] == "a"
    assert (shown["final_step_id"], shown["final_step_result"], shown["canvas_task_id"]) == ("b", None, None)
    assert (shown["config"], shown["origin_reference"]) == ({"season": "autumn"}, "ref-1")
    assert (shown["errors"], shown["error_message"], shown["completed_at"]) == ([], None, None)
    assert running["started_at"] is not None and shown["started_at"] is not None
    await flows.end(made["id"], "a")
    half = await flows.step(made["id"], "b")
    assert half["started_at"] >= running["started_at"]
    assert (await flows.get(made["id"]))["progress"] == 50.0
    await flows.end(made["id"], "b")
    await flows.ended(made["id"], "COMPLETED")
