"""What the contract says of each field of workflows, and what it leaves to us; named by the line of seed 002."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from compute.tasks.v1 import tasks_pb2, tasks_pb2_grpc

from services.clients.storage_client import StorageClient
from services.common.errors import Unavailable
from services.rpc.grpc_client import Credentials
from services.storage.local_folder import LocalObjectStore
from tests.contract.test_rules import png
from tests.integration.gateway_host import TASKS, TOKEN, Stack, stack
from tests.integration.workflows_host import WORKFLOWS, Flows, exists, probe
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
DRAW: dict[str, Any] = {"id": "draw", "task_type": "GENERATION", "config": {"prompt": "a red mug"}}
WHOLE: dict[str, Any] = {"name": "w", "origin_instance": "test", "steps": [DRAW]}
FAILURE = {"reason": "NO", "message": "no", "category": "VALIDATION"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(mongodb_url: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with stack(mongodb_url, nats_url, tmp_path_factory.mktemp("objects")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def flows(api: Stack) -> Flows:
    return Flows(api, f"Bearer {await api.key('acme', 'admin')}")


async def create(api: Stack, *, start: bool = False, **fields: Any) -> dict[str, Any]:
    answer = await api.http.post(f"{WORKFLOWS}?start={str(start).lower()}", json={**WHOLE, **fields})
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def task_of(api: Stack, flows: Flows, workflow_id: str, step_id: str) -> dict[str, Any]:
    task_id = (await flows.step(workflow_id, step_id))["task_id"]
    found: dict[str, Any] = await until(lambda: exists(api, task_id))
    return found


async def test_line_5273_config_dependencies_and_mappings_may_be_left_out(flows: Flows) -> None:
    made = await flows.create({"id": "a", "task_type": "DIAGNOSTIC"}, start=False)
    [step] = made["steps"]
    assert (step["config"], step["dependencies"], step["input_mappings"]) == ({}, [], [])


@pytest.mark.parametrize("name", ["name", "origin_instance"])
async def test_lines_5317_and_5352_texts_that_are_needed_are_not_empty(api: Stack, name: str) -> None:
    answer = await api.http.post(WORKFLOWS, json={**WHOLE, name: ""})
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", name])


async def test_lines_5320_to_5400_what_may_be_null_may_be_sent_as_null(api: Stack) -> None:
    names = ("description", "origin_zone", "origin_tenant_id", "origin_reference", "webhook_url")
    fields: dict[str, Any] = dict.fromkeys(names)
    made = await create(api, **fields)
    assert {made[name] for name in names} == {None}


async def test_line_9580_the_global_configuration_is_each_steps_default(api: Stack, flows: Flows) -> None:
    own = {**DRAW, "id": "own", "config": {"prompt": "a red mug", "width": 320}}
    made = await create(api, start=True, steps=[DRAW, own], config={"width": 256, "season": "autumn"})
    widths = [(await task_of(api, flows, made["id"], name))["width"] for name in ("draw", "own")]
    assert (widths, made["config"]) == ([256, 320], {"width": 256, "season": "autumn"})


async def test_line_5884_a_workflow_comes_with_all_its_steps_to_its_own_tenant(api: Stack, flows: Flows) -> None:
    made = await flows.create(probe("a"), probe("b", "a"), start=False)
    for spelled in (made["id"], made["id"].upper()):
        found = (await api.http.get(WORKFLOWS + spelled)).json()
        assert [(step["step_id"], step["status"]) for step in found["steps"]] == [("a", "PENDING"), ("b", "PENDING")]
    assert (await api.other.get(WORKFLOWS + made["id"])).json()["reason"] == "WORKFLOW_NOT_FOUND"


async def test_line_5762_each_status_can_be_asked_for(api: Stack, flows: Flows) -> None:
    made = {name: await flows.create(probe("a"), origin_instance="each", start=name != "PENDING") for name in STATUSES}
    await flows.post(made["PAUSED"]["id"], "pause")
    await api.http.delete(WORKFLOWS + made["CANCELLED"]["id"])
    await flows.end(made["COMPLETED"]["id"], "a")
    await flows.end(made["FAILED"]["id"], "a", **FAILURE)
    for status in ("COMPLETED", "FAILED"):
        await flows.ended(made[status]["id"], status)
    for status in STATUSES:
        page = (await api.http.get(WORKFLOWS, params={"origin_instance": "each", "status": status})).json()
        assert ([one["id"] for one in page["workflows"]], page["total"]) == ([made[status]["id"]], 1), status


STATUSES = ("PENDING", "RUNNING", "PAUSED", "COMPLETED", "FAILED", "CANCELLED")


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "skip=-1", "status=EXECUTING", "include_deleted=maybe", "x=1"]
)
async def test_lines_5768_to_5776_what_is_no_filter_is_told(api: Stack, query: str) -> None:
    answer = await api.http.get(f"{WORKFLOWS}?{query}")
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["query", query.partition("=")[0]])


async def test_line_11536_a_page_says_how_many_there_are_and_which_it_shows(api: Stack) -> None:
    for _ in range(3):
        await create(api, origin_instance="line-11536")
    page = (await api.http.get(WORKFLOWS, params={"origin_instance": "line-11536", "skip": 1, "limit": 1})).json()
    assert {name: page[name] for name in page if name != "workflows"} == {"total": 3, "skip": 1, "limit": 1}
    assert len(page["workflows"]) == 1


async def test_a_list_of_workflows_with_more_than_a_thousand_steps_shows_them_without(api: Stack, flows: Flows) -> None:
    for _ in range(2):
        await flows.create(*(probe(f"s{number}") for number in range(501)), start=False, origin_instance="huge")
    both = (await api.http.get(WORKFLOWS, params={"origin_instance": "huge"})).json()["workflows"]
    assert [(len(one["steps"]), one["total_steps"], one["progress"]) for one in both] == [(0, 501, 0.0)] * 2
    [one] = (await api.http.get(WORKFLOWS, params={"origin_instance": "huge", "limit": 1})).json()["workflows"]
    assert len(one["steps"]) == 501


async def test_line_6201_null_clears_what_may_be_null_and_leaves_the_name(api: Stack) -> None:
    made = await create(api, description="d", webhook_url="https://shop.example/hook")
    place = WORKFLOWS + made["id"]
    kept = (await api.http.patch(place, json={"name": None})).json()
    assert (kept["name"], kept["description"]) == ("w", "d")
    cleared = (await api.http.patch(place, json={"description": None, "webhook_url": None})).json()
    assert (cleared["description"], cleared["webhook_url"]) == (None, None)
    same = (await api.http.patch(place, json={})).json()
    assert same == cleared


async def test_line_6191_metadata_changes_in_every_state(api: Stack, flows: Flows) -> None:
    made = await flows.create(probe("a"))
    for number, verb in enumerate((None, "pause", "resume", "cancel")):
        if verb == "cancel":
            await api.http.delete(WORKFLOWS + made["id"])
        elif verb is not None:
            await flows.post(made["id"], verb)
        changed = await api.http.patch(WORKFLOWS + made["id"], json={"name": f"n{number}"})
        assert (changed.status_code, changed.json()["name"]) == (200, f"n{number}")


async def test_line_6544_what_has_ended_cannot_be_cancelled_and_what_is_paused_can(api: Stack, flows: Flows) -> None:
    done, failed, paused = [await flows.create(probe("a")) for _ in range(3)]
    await flows.end(done["id"], "a")
    await flows.end(failed["id"], "a", **FAILURE)
    await flows.post(paused["id"], "pause")
    for made, status in ((done, "COMPLETED"), (failed, "FAILED")):
        await flows.ended(made["id"], status)
        answer = await api.http.delete(WORKFLOWS + made["id"])
        assert (answer.status_code, answer.json()["reason"]) == (409, "WORKFLOW_NOT_CANCELLABLE")
    assert (await api.http.delete(WORKFLOWS + paused["id"])).json()["status"] == "CANCELLED"


async def test_line_6851_the_start_begins_the_first_steps(api: Stack, flows: Flows) -> None:
    made = await flows.create(probe("a"), probe("b", "a"), start=False)
    assert made["started_at"] is None
    await flows.post(made["id"], "start")
    assert (await task_of(api, flows, made["id"], "a"))["status"] in ("PENDING", "EXECUTING")
    assert (await flows.get(made["id"]))["steps"][1]["status"] == "PENDING"


async def test_line_7158_a_resume_adopts_what_runs_and_resets_what_failed(flows: Flows) -> None:
    made = await flows.create(probe("a"), probe("b"))
    running = (await flows.step(made["id"], "a"))["task_id"]
    await flows.post(made["id"], "pause")
    await flows.post(made["id"], "resume")
    assert (await flows.step(made["id"], "a"))["task_id"] == running
    await flows.end(made["id"], "a", **FAILURE)
    await flows.end(made["id"], "b")
    await flows.ended(made["id"], "FAILED")
    [reset, kept] = (await flows.post(made["id"], "resume"))["steps"]
    assert (reset["status"], reset["error_message"], reset["retry_count"], reset["result"]) == (
        "PENDING",
        None,
        0,
        None,
    )
    assert kept["status"] == "COMPLETED"


async def test_line_7468_a_clean_up_soft_deletes_the_records_of_its_tasks(api: Stack, flows: Flows) -> None:
    made = await flows.create(probe("a"), origin_instance="line-7468")
    task_id = (await task_of(api, flows, made["id"], "a"))["id"]
    await flows.end(made["id"], "a")
    await flows.ended(made["id"], "COMPLETED")
    await flows.post(made["id"], "cleanup")
    kept = (await api.http.get(TASKS + task_id)).json()
    assert (kept["is_deleted"], kept["deleted_at"] is not None) == (True, True)
    listed = {"workflow_id": made["id"]}
    assert (await api.http.get(TASKS, params=listed, headers={"authorization": flows.authorization})).json() == []


async def test_line_7469_a_clean_up_names_the_task_the_step_and_the_type_of_what_could_not_go(
    api: Stack, flows: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await create(api, start=True)
    task_id = (await task_of(api, flows, made["id"], "draw"))["id"]
    path = f"generations/{task_id}/picture.png"
    await StorageClient(api.channel, Credentials(TOKEN)).upload(path, png(), tenant="acme", result=True)
    await api.finish(task_id)
    await flows.ended(made["id"], "COMPLETED")

    async def broken(*_: Any) -> None:
        raise Unavailable("the disk says no", reason="STORAGE_UNAVAILABLE")

    with monkeypatch.context() as patch:
        patch.setattr(LocalObjectStore, "delete", broken)
        done = (await flows.post(made["id"], "cleanup"))["cleanup"]
    [error] = done["errors"]
    assert (error["task_id"], error["step_id"], error["task_type"]) == (task_id, "draw", "GENERATION")
    assert path in error["error"] or f"generations/{task_id}" in error["error"]
    assert (done["tasks_processed"], done["tasks_cleaned"], done["deleted_paths"]) == (1, 0, [])


@pytest.mark.parametrize("end", ["COMPLETED", "FAILED", "CANCELLED"])
async def test_line_9598_the_webhook_is_called_at_every_end(api: Stack, flows: Flows, end: str) -> None:
    made = await flows.create(probe("a"), webhook_url=f"https://nobody.example/{end}")
    if end == "CANCELLED":
        await api.http.delete(WORKFLOWS + made["id"])
    else:
        await flows.end(made["id"], "a", **(FAILURE if end == "FAILED" else {}))

    async def recorded() -> Any:
        found = (await api.http.get("/api/v1/webhooks/deliveries")).json()
        return [one for one in found if one["task_id"] == made["id"]]

    [delivery] = await until(recorded)
    assert delivery["event_type"] == f"atelier.workflow.{end.lower()}.v1"


async def test_lines_10055_and_11241_every_transform_may_stand_in_a_mapping(flows: Flows) -> None:
    fan = probe("list", for_each={"to_field": "payload", "items": ["x"]}, config={})
    draw = {"id": "draw", "task_type": "GENERATION", "config": {"prompt": "a mug"}}
    app = {**APP, "id": "app"}
    steps = [fan, probe("one"), draw, app]
    for kind, (source, from_field, target, to_field, arguments) in TAKES.items():
        mapping = {"from_step": source, "from_field": from_field, "to_field": to_field, "transform": kind}
        step = {**target, "id": kind.lower(), "depends_on": [source]}
        steps.append({**step, "input_mappings": [mapping | ({"transform_args": arguments} if arguments else {})]})
    made = await flows.create(*steps, start=False)
    shown = [step["input_mappings"][0] for step in made["steps"][4:]]
    assert [(one["transform"], one.get("transform_args", {})) for one in shown] == [
        (kind, arguments) for kind, (*_, arguments) in TAKES.items()
    ]


PROBE: dict[str, Any] = {"task_type": "DIAGNOSTIC"}
CUT: dict[str, Any] = {"task_type": "BACKGROUND_REMOVAL"}
APP: dict[str, Any] = {"task_type": "EXPERIMENTAL_FAL", "config": {"fal_app_id": "fal-ai/any"}}
SIZED: dict[str, Any] = {"task_type": "GENERATION", "config": {"prompt": "a mug"}}
# Source, its field, target, its field, arguments.
TAKES: dict[str, tuple[str, str, dict[str, Any], str, dict[str, Any]]] = {
    "FIRST": ("list", "payload", PROBE, "payload", {}),
    "LAST": ("list", "payload", PROBE, "payload", {}),
    "AT_INDEX": ("list", "payload", PROBE, "payload", {"index": 0}),
    "JOIN": ("list", "payload", PROBE, "payload", {"separator": "+"}),
    "TEMPLATE": ("one", "payload", PROBE, "payload", {"template": "of {value}"}),
    "LENGTH": ("one", "payload", PROBE, "duration_ms", {}),
    "TO_LIST": ("draw", "result_image_path", CUT, "input_image_paths", {}),
    "MERGE": ("app", "output", APP, "fal_parameters", {"values": {"steps": 4}}),
    "RESIZE_REFERENCE": ("draw", "width", SIZED, "width", {"factor": 1.5, "multiple_of": 64, "most": 1024}),
}
# FLATTEN takes lists of lists, which only a fan-out of lists makes.


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ({}, "transform_args"),
        ({"factor": 2, "index": 1}, "transform_args"),
        ({"factor": 2, "multiple_of": 64, "most": 32}, "transform_args"),
        ({"factor": 0}, "factor"),
        ({"factor": 65}, "factor"),
        ({"factor": 2, "most": 100_000}, "most"),
    ],
)
async def test_arguments_of_a_transform_are_checked_before_anything_runs(
    api: Stack, arguments: dict[str, Any], place: str
) -> None:
    mapping = {"from_step": "draw", "from_field": "width", "to_field": "width", "transform": "RESIZE_REFERENCE"}
    step = {**SIZED, "id": "b", "depends_on": ["draw"], "input_mappings": [mapping | {"transform_args": arguments}]}
    answer = await api.http.post(WORKFLOWS, json={**WHOLE, "steps": [DRAW, step]})
    assert answer.status_code in (400, 422), answer.text
    said = answer.json()
    places = (
        [item["field"] for item in said["violations"]]
        if "violations" in said
        else [".".join(map(str, item["loc"])) for item in said["detail"]]
    )
    assert [one.rpartition(".")[2] for one in places] == [place]


async def test_lines_11547_to_11602_a_workflow_has_every_field_that_is_printed(api: Stack) -> None:
    made = await create(api, description="d", origin_zone="z", origin_tenant_id="t", origin_reference="r")
    assert made.keys() >= WORKFLOW.keys()
    assert {name: made[name] for name, value in WORKFLOW.items() if value is not ...} == {
        name: value for name, value in WORKFLOW.items() if value is not ...
    }
    assert made["steps"][0].keys() >= STEP.keys()
    assert {name: made["steps"][0][name] for name, value in STEP.items() if value is not ...} == {
        name: value for name, value in STEP.items() if value is not ...
    }


WORKFLOW: dict[str, Any] = {
    **dict.fromkeys(("id", "created_at", "updated_at", "steps"), ...),
    "name": "w",
    "description": "d",
    "status": "PENDING",
    "total_steps": 1,
    "completed_steps": 0,
    "progress": 0.0,
    "current_step": None,
    "final_step_id": "draw",
    "final_step_result": None,
    "canvas_task_id": None,
    "config": {},
    "suppress_subtask_events": True,
    "origin_instance": "test",
    "origin_zone": "z",
    "origin_tenant_id": "t",
    "origin_reference": "r",
    "webhook_url": None,
    "error_message": None,
    "errors": [],
    "started_at": None,
    "completed_at": None,
    "is_deleted": False,
    "deleted_at": None,
}
STEP: dict[str, Any] = {
    **dict.fromkeys(("id", "created_at", "updated_at"), ...),
    "step_id": "draw",
    "task_type": "GENERATION",
    "config": {"prompt": "a red mug"},
    "provider_config": None,
    "active_provider_capabilities": None,
    "fallback_provider_type": None,
    "fallback_provider_config": None,
    "fallback_provider_capabilities": None,
    "dependencies": [],
    "input_mappings": [],
    "status": "PENDING",
    "task_id": None,
    "result": None,
    "error_message": None,
    "started_at": None,
    "completed_at": None,
    "retry_count": 0,
    "max_retries": 2,
}


async def test_line_11551_the_first_running_step_in_topological_order_is_the_current_one(flows: Flows) -> None:
    made = await flows.create(probe("late", "a"), probe("b"), probe("a"))
    await flows.step(made["id"], "b")
    assert (await flows.get(made["id"]))["current_step"] == "b"
    await flows.end(made["id"], "b")
    await flows.step(made["id"], "a")
    await flows.end(made["id"], "a")
    await flows.step(made["id"], "late")
    assert (await flows.get(made["id"]))["current_step"] == "late"


async def test_lines_11605_to_11629_the_steps_task_is_given_all_that_was_said_of_it(api: Stack, flows: Flows) -> None:
    step = {
        **DRAW,
        "config": {"prompt": "a red mug", "priority": 7, "queue_name": "inference"},
        "provider_config": {"provider_type": "FAL"},
        "active_provider_capabilities": ["TEXT_TO_IMAGE"],
        "fallback_provider_type": "LOCAL",
        "fallback_provider_config": {},
        "fallback_provider_capabilities": ["TEXT_TO_IMAGE"],
    }
    made = await create(api, start=True, steps=[step], origin_reference="r", origin_zone="z", origin_tenant_id="t")
    task = await task_of(api, flows, made["id"], "draw")
    wanted = tasks_pb2.GetTaskRequest(task_id=task["id"])
    stored = await tasks_pb2_grpc.TaskServiceStub(api.channel).GetTask(
        wanted, metadata=Credentials(TOKEN).metadata("acme")
    )
    assert (task["priority"], stored.task.queue) == (7, "inference")
    assert (task["provider_config"]["provider_type"], task["fallback_provider_type"]) == ("FAL", "LOCAL")
    for name in ("active_provider_capabilities", "fallback_provider_capabilities"):
        assert task[name] == ["TEXT_TO_IMAGE"], name
    shared = ("origin_instance", "origin_reference", "origin_zone", "origin_tenant_id")
    assert [task[name] for name in shared] == ["test", "r", "z", "t"]


@pytest.mark.field("step-names-a-workflow")
@pytest.mark.parametrize("config", [{"priority": 101}, {"queue_name": "x" * 300}, {"workflow_id": "mine"}])
async def test_a_steps_priority_and_queue_are_checked_and_its_workflow_is_not_for_it_to_say(
    api: Stack, config: dict[str, Any]
) -> None:
    answer = await api.http.post(WORKFLOWS, json={**WHOLE, "steps": [{**EDIT, "config": {**EDIT["config"], **config}}]})
    assert answer.status_code == 422, answer.text
    assert [item["loc"][-1] for item in answer.json()["detail"]] == list(config)


EDIT: dict[str, Any] = {"id": "edit", "task_type": "EDITING", "config": {"prompt": "green", "base_image": "a/b.png"}}


@pytest.mark.parametrize("retries", [-1, 10])
async def test_line_11624_retries_are_bounded(api: Stack, retries: int) -> None:
    answer = await api.http.post(WORKFLOWS, json={**WHOLE, "steps": [{**DRAW, "max_retries": retries}]})
    assert answer.status_code == 422


async def test_the_tasks_of_a_workflow_are_listed_by_its_id_whatever_their_type(api: Stack, flows: Flows) -> None:
    made = await flows.create(probe("a"), DRAW, EDIT)
    tasks = {name: (await task_of(api, flows, made["id"], name))["id"] for name in ("a", "draw", "edit")}
    headers = {"authorization": flows.authorization}
    found = (await api.http.get(TASKS, params={"workflow_id": made["id"]}, headers=headers)).json()
    assert {task["id"] for task in found} == set(tasks.values())
    assert {task["workflow_id"] for task in found if task["id"] != tasks["a"]} == {made["id"]}
    drawn = (await api.http.get(f"{TASKS}generation", params={"workflow_id": made["id"]}, headers=headers)).json()
    assert [task["id"] for task in drawn] == [tasks["draw"]]


async def test_a_definition_of_more_than_four_megabytes_is_refused_with_the_reason(api: Stack, flows: Flows) -> None:
    steps = [probe(f"s{number}", config={"payload": "x" * 60_000}) for number in range(80)]
    headers = {"authorization": flows.authorization}
    answer = await api.http.post(WORKFLOWS, json={**WHOLE, "steps": steps}, headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (400, "WORKFLOW_INVALID"), answer.text
    assert [item["field"] for item in answer.json()["violations"]] == ["definition"]


async def test_more_than_a_thousand_steps_are_refused(api: Stack, flows: Flows) -> None:
    made = await flows.create(*(probe(f"s{number}") for number in range(1_000)), start=False)
    assert made["total_steps"] == 1_000
    steps = [{"id": f"s{number}", "task_type": "GENERATION", "config": {"prompt": "x"}} for number in range(1_001)]
    answer = await api.http.post(WORKFLOWS, json={**WHOLE, "steps": steps})
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "steps"])


async def test_a_list_that_brings_the_workflow_beyond_two_thousand_slots_fails_its_step_first(flows: Flows) -> None:
    wide = {"to_field": "payload", "items": [str(number) for number in range(1_001)]}
    fan = {"for_each": wide, "input_mappings": [], "config": {}}
    made = await flows.create(probe("a"), probe("v", "a", **fan), probe("w", "a", **fan))
    await flows.end(made["id"], "a")
    failed = await flows.step(made["id"], "w", "FAILED")
    assert (failed["error_reason"], failed["slots"], failed["task_id"]) == ("FAN_OUT_TOO_WIDE", [], None)
    shown = await flows.get(made["id"])
    assert (shown["total_steps"], len(shown["steps"][1]["slots"])) == (3, 1_001)
    await flows.post(made["id"], "cleanup")
