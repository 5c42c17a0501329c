"""Workflows over HTTP, on the real tasks service, store and bus; the worker is made of bare calls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.gateway_host import Stack, stack
from tests.integration.workflows_host import WORKFLOWS, Flows, exists, probe
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(mongodb_url: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    folder: Path = tmp_path_factory.mktemp("files")
    async with stack(mongodb_url, nats_url, folder) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def admin(api: Stack) -> str:
    return f"Bearer {await api.key('acme', 'admin')}"


@pytest.fixture
def flows(api: Stack, admin: str) -> Flows:
    return Flows(api, admin)


async def test_a_chain_hands_on_what_its_steps_made(flows: Flows) -> None:
    made = await flows.create(probe("a"), probe("b", "a"), probe("c", "b"), description="three")
    assert (made["status"], made["total_steps"], made["completed_steps"]) == ("RUNNING", 3, 0)
    for name, answer in (("a", "one"), ("b", "two"), ("c", None)):
        await flows.end(made["id"], name, answer)
    done = await flows.ended(made["id"], "COMPLETED")
    assert (done["completed_steps"], done["progress"], done["current_step"]) == (3, 100.0, None)
    assert (done["final_step_id"], done["final_step_result"]) == ("c", {"payload": "two"})
    assert [step["result"] for step in done["steps"]] == [{"payload": "one"}, {"payload": "two"}, {"payload": "two"}]
    assert [step["dependencies"] for step in done["steps"]] == [[], ["a"], ["b"]]
    assert done["started_at"] <= done["completed_at"]


async def test_the_contracts_own_example_is_taken_and_its_stored_picture_goes_where_a_url_is_asked_for(
    api: Stack,
) -> None:
    """002:5283-5314, the created workflow; its first task is ended as a worker does."""
    mapped = {"from_field": "result_image_path", "from_step": "generate", "to_field": "base_image_url"}
    steps = [
        {
            "id": "generate",
            "task_type": "GENERATION",
            "config": {"height": 1024, "prompt": "fashion model wearing elegant dress", "width": 1024},
        },
        {
            "id": "refine",
            "task_type": "REFINE",
            "config": {"upscale_factor": 2.0},
            "depends_on": ["generate"],
            "input_mappings": [mapped],
        },
    ]
    body = {"name": "Fashion Image Pipeline", "origin_instance": "api-prod", "steps": steps}
    made = (await api.http.post(WORKFLOWS, json=body)).json()
    flows = Flows(api, api.http.headers["authorization"])
    task_id = (await flows.step(made["id"], "generate"))["task_id"]
    await until(lambda: exists(api, task_id))
    await api.finish(task_id)
    refine = await flows.step(made["id"], "refine")
    task = await until(lambda: exists(api, refine["task_id"]))
    assert task["base_image_url"] == f"generations/{task_id}/picture.png"
    assert (task["upscale_factor"], task["origin_instance"]) == (2.0, "api-prod")
    drawn = (await api.http.get(f"/api/v1/tasks/{task_id}")).json()
    assert drawn["workflow_id"] == made["id"]
    assert isinstance(drawn["seed"], int)
    await api.http.delete(WORKFLOWS + made["id"])


async def test_everything_that_is_wrong_is_told_by_step_and_field_before_anything_runs(
    api: Stack, flows: Flows
) -> None:
    steps: list[dict[str, Any]] = [
        {"id": "a", "task_type": "GENERATION", "config": {"prompt": "a mug"}},
        {
            "id": "b",
            "task_type": "REFINE",
            "depends_on": ["a"],
            "input_mappings": [
                {"from_step": "a", "from_field": "width", "to_field": "base_image_url"},
                {"from_step": "a", "from_field": "nothing", "to_field": "nowhere"},
                {"from_step": "c", "from_field": "result_image_path", "to_field": "upscale_prompt"},
            ],
        },
        {"id": "c", "task_type": "GENERATION", "config": {"prompt": "a cup"}},
    ]
    answer = await api.http.post(WORKFLOWS, json={"name": "n", "origin_instance": "o", "steps": steps})
    assert (answer.status_code, answer.json()["reason"]) == (400, "WORKFLOW_INVALID")
    found = {item["field"]: item["description"] for item in answer.json()["violations"]}
    assert found.keys() == {
        "steps.1.input_mappings.0.to_field",
        "steps.1.input_mappings.1.from_field",
        "steps.1.input_mappings.1.to_field",
        "steps.1.input_mappings.2.from_step",
    }
    assert "step b" in found["steps.1.input_mappings.2.from_step"]
    odd = [{**steps[0], "config": {"prompt": "x", "width": 7, "hue": 1}}]
    config = await api.http.post(WORKFLOWS, json={"name": "n", "origin_instance": "o", "steps": odd})
    assert config.status_code == 422
    assert {tuple(item["loc"]) for item in config.json()["detail"]} == {
        ("body", "steps", 0, "config", "width"),
        ("body", "steps", 0, "config", "hue"),
    }


@pytest.mark.parametrize("field", ["caching"])
async def test_what_is_no_field_is_refused_by_its_name(api: Stack, field: str) -> None:
    step = {"id": "a", "task_type": "GENERATION", "config": {"prompt": "a mug"}, field: "all"}
    answer = await api.http.post(WORKFLOWS, json={"name": "n", "origin_instance": "o", "steps": [step]})
    assert answer.status_code == 422
    assert [item["loc"][-1] for item in answer.json()["detail"]] == [field]


async def test_a_failed_step_stops_what_is_new_and_resume_goes_on_from_there(flows: Flows) -> None:
    made = await flows.create(probe("a"), probe("b"), probe("c", "a"), probe("d", "b"))
    await flows.end(made["id"], "a", reason="PROMPT_REFUSED", message="no", category="VALIDATION")
    await flows.step(made["id"], "a", "FAILED")
    assert (await flows.get(made["id"]))["status"] == "RUNNING", "its sibling runs on"
    await flows.end(made["id"], "b", "kept")
    failed = await flows.ended(made["id"], "FAILED")
    assert {step["step_id"]: step["status"] for step in failed["steps"]} == {
        "a": "FAILED",
        "b": "COMPLETED",
        "c": "PENDING",
        "d": "PENDING",
    }
    assert (failed["error_message"], failed["errors"]) == ("a: no", ["a: no"])
    assert failed["steps"][0]["error_reason"] == "PROMPT_REFUSED"
    first = failed["steps"][0]["task_id"]
    resumed = await flows.post(made["id"], "resume")
    assert resumed["status"] == "RUNNING"
    await flows.post(made["id"], "resume", 409)
    await flows.end(made["id"], "a", "better")
    await flows.end(made["id"], "c")
    await flows.end(made["id"], "d")
    done = await flows.ended(made["id"], "COMPLETED")
    assert done["steps"][0]["task_id"] != first
    assert done["final_step_id"] is None
    assert done["final_step_result"] == {"c": {"payload": "better"}, "d": {"payload": "kept"}}
    assert done["steps"][1]["task_id"] == failed["steps"][1]["task_id"], "what was finished was done again"


async def test_other_branches_end_where_that_is_wanted(flows: Flows) -> None:
    config = {"on_failure": "finish_independent"}
    made = await flows.create(probe("a"), probe("b"), probe("c", "a"), probe("d", "b"), config=config)
    await flows.end(made["id"], "a", reason="NO", message="no", category="VALIDATION")
    await flows.end(made["id"], "b")
    await flows.end(made["id"], "d")
    failed = await flows.ended(made["id"], "FAILED")
    assert [step["status"] for step in failed["steps"]] == ["FAILED", "COMPLETED", "PENDING", "COMPLETED"]


async def test_a_step_has_as_many_tries_as_it_says_and_not_as_many_again(flows: Flows) -> None:
    made = await flows.create(probe("a", max_retries=1))
    again: dict[str, Any] = {"reason": "DOWN", "message": "no model", "category": "UNAVAILABLE", "retryable": True}
    await flows.end(made["id"], "a", **again)
    await flows.end(made["id"], "a", **again)
    failed = await flows.ended(made["id"], "FAILED")
    [step] = failed["steps"]
    assert (step["retry_count"], step["max_retries"], step["error_reason"]) == (1, 1, "DOWN")


async def test_a_paused_workflow_keeps_what_runs_and_starts_nothing(flows: Flows) -> None:
    made = await flows.create(probe("a"), probe("b", "a"))
    await flows.step(made["id"], "a")
    assert (await flows.post(made["id"], "pause"))["status"] == "PAUSED"
    await flows.post(made["id"], "pause", 409)
    await flows.end(made["id"], "a", "kept")
    paused = await until(lambda: _completed(flows, made["id"], 1))
    assert (paused["status"], paused["steps"][1]["status"]) == ("PAUSED", "PENDING")
    await flows.post(made["id"], "resume")
    await flows.end(made["id"], "b")
    assert (await flows.ended(made["id"], "COMPLETED"))["final_step_result"] == {"payload": "kept"}


async def _completed(flows: Flows, workflow_id: str, steps: int) -> Any:
    found = await flows.get(workflow_id)
    return found if found["completed_steps"] == steps else None


async def test_a_cancelled_workflow_leaves_nothing_alive(api: Stack, flows: Flows) -> None:
    made = await flows.create(*(probe(f"s{number}") for number in range(5)), probe("last", "s0"))
    tasks = [(await flows.step(made["id"], f"s{number}"))["task_id"] for number in range(5)]
    answer = await api.http.delete(WORKFLOWS + made["id"])
    assert (answer.status_code, answer.json()["status"]) == (200, "CANCELLED")
    assert {step["status"] for step in answer.json()["steps"]} == {"CANCELLED"}

    async def over() -> bool:
        found = [await api.http.get(f"/api/v1/tasks/{task_id}") for task_id in tasks]
        return all(one.status_code == 404 or one.json()["status"] == "CANCELLED" for one in found)

    await until(over, timeout=10)
    assert (await api.http.delete(WORKFLOWS + made["id"])).json()["reason"] == "WORKFLOW_NOT_CANCELLABLE"


async def test_a_task_that_its_owner_deletes_or_cancels_fails_its_step_alone(api: Stack, flows: Flows) -> None:
    made = await flows.create(probe("a"), probe("b"), probe("c"), config={"on_failure": "finish_independent"})
    tasks = {name: (await flows.step(made["id"], name))["task_id"] for name in "abc"}
    admin = {"authorization": flows.authorization}
    await until(lambda: exists(api, tasks["b"]))
    assert (await api.http.delete(f"/api/v1/tasks/{tasks['a']}", headers=admin)).status_code == 200
    assert (await api.http.post(f"/api/v1/tasks/{tasks['b']}/cancel", headers=admin)).status_code == 200
    await flows.end(made["id"], "c")
    failed = await flows.ended(made["id"], "FAILED")
    assert [step["error_reason"] for step in failed["steps"]] == ["STEP_TASK_DELETED", "STEP_TASK_CANCELLED", None]


async def test_a_pending_workflow_waits_for_its_start(api: Stack, flows: Flows) -> None:
    made = await flows.create(probe("a"), start=False)
    assert (made["status"], made["started_at"], made["steps"][0]["task_id"]) == ("PENDING", None, None)
    started = await flows.post(made["id"], "start")
    assert started["status"] == "RUNNING"
    refused = await flows.post(made["id"], "start", 409)
    assert refused["reason"] == "WORKFLOW_NOT_PENDING"
    await api.http.delete(WORKFLOWS + made["id"])


async def test_name_description_and_webhook_can_change_and_null_clears(api: Stack, flows: Flows) -> None:
    made = await flows.create(probe("a"), start=False, description="old", webhook_url="https://shop.example/hook")
    place = WORKFLOWS + made["id"]
    changed = (await api.http.patch(place, json={"name": "new", "description": None})).json()
    assert (changed["name"], changed["description"]) == ("new", None)
    assert changed["webhook_url"] == "https://shop.example/hook"
    assert (await api.http.patch(place, json={"webhook_url": None})).json()["webhook_url"] is None
    assert (await api.http.patch(place, json={"steps": []})).status_code == 422
    inward = await api.http.patch(place, json={"webhook_url": "https://shop.example:9/hook"})
    assert inward.json()["reason"] == "URL_NOT_ALLOWED"


async def test_lists_are_newest_first_filtered_and_counted(api: Stack, flows: Flows) -> None:
    names = [f"of-list-{number}" for number in range(3)]
    made = [await flows.create(probe("a"), start=False, name=name, origin_instance="lists") for name in names]
    page = (await api.http.get(WORKFLOWS, params={"origin_instance": "lists", "limit": 2})).json()
    assert (page["total"], page["skip"], page["limit"]) == (3, 0, 2)
    assert [item["name"] for item in page["workflows"]] == ["of-list-2", "of-list-1"]
    rest = (await api.http.get(WORKFLOWS, params={"origin_instance": "lists", "skip": 2})).json()
    assert [item["id"] for item in rest["workflows"]] == [made[0]["id"]]
    await api.http.delete(WORKFLOWS + made[0]["id"])
    waiting = (await api.http.get(WORKFLOWS, params={"origin_instance": "lists", "status": "PENDING"})).json()
    assert waiting["total"] == 2
    assert (await api.other.get(WORKFLOWS, params={"origin_instance": "lists"})).json()["total"] == 0


async def test_a_clean_up_cancels_first_and_takes_workflow_and_tasks_out_of_the_lists(api: Stack, flows: Flows) -> None:
    made = await flows.create(probe("a"), probe("b"), probe("c", "a"), origin_instance="cleaned")
    await flows.end(made["id"], "a")
    await flows.step(made["id"], "c")
    done = await flows.post(made["id"], "cleanup")
    assert (done["workflow"]["status"], done["workflow"]["is_deleted"]) == ("CANCELLED", True)
    assert (done["cleanup"]["tasks_processed"], done["cleanup"]["tasks_cleaned"]) == (3, 3)
    assert done["cleanup"]["errors"] == []
    query = {"origin_instance": "cleaned"}
    assert (await api.http.get(WORKFLOWS, params=query)).json()["total"] == 0
    assert (await api.http.get(WORKFLOWS, params={**query, "include_deleted": True})).json()["total"] == 1
    admin = {"authorization": flows.authorization}
    assert (await api.http.get("/api/v1/tasks/", params=query, headers=admin)).json() == []
    refused = await flows.post(made["id"], "resume", 409)
    assert refused["reason"] in ("WORKFLOW_NOT_RESUMABLE", "WORKFLOW_CLEANED")


async def test_its_events_come_in_order_with_a_place_to_go_on_from(api: Stack, flows: Flows) -> None:
    made = await flows.create(probe("a"), probe("b", "a"), start=False)
    place = f"{WORKFLOWS}{made['id']}/events"
    told: list[str] = []
    async with asyncio.timeout(30), api.http.stream("GET", place) as answer:
        lines = answer.aiter_lines()
        await flows.post(made["id"], "start")
        await flows.end(made["id"], "a")
        await flows.end(made["id"], "b")
        found: dict[str, list[str]] = {"id": [], "event": [], "data": []}
        async for line in lines:
            key, _, value = line.partition(": ")
            found.get(key, told).append(value)
    marks, names, bodies = found["id"], found["event"], found["data"]
    events = [json.loads(body) for name, body in zip(names, bodies, strict=True) if name == "status"]
    assert [event["data"]["event_type"] for event in events if event["data"]["event_type"] != "WORKFLOW_CREATED"] == [
        "WORKFLOW_STARTED",
        "WORKFLOW_STEP_STARTED",
        "WORKFLOW_STEP_COMPLETED",
        "WORKFLOW_STEP_STARTED",
        "WORKFLOW_STEP_COMPLETED",
        "WORKFLOW_COMPLETED",
    ]
    assert names[-1] == "workflow" and json.loads(bodies[-1])["status"] == "COMPLETED"
    steps = [event["data"] for event in events if "step_id" in event["data"]]
    assert [step["step_id"] for step in steps] == ["a", "a", "b", "b"]
    again = await api.http.get(place, headers={"last-event-id": marks[-1]})
    assert again.status_code == 204
    later = (await api.http.get(place, headers={"last-event-id": marks[-3]})).text
    assert "WORKFLOW_COMPLETED" in later and "WORKFLOW_STARTED" not in later
    quiet = await api.http.get(f"/api/v1/tasks/{steps[0]['task_id']}/events", headers={"last-event-id": marks[0]})
    assert "TASK_COMPLETED" not in quiet.text, "its tasks are quiet by default"


async def test_two_resumes_at_once_make_one(flows: Flows) -> None:
    made = await flows.create(probe("a"))
    await flows.end(made["id"], "a", reason="NO", message="no", category="VALIDATION")
    await flows.ended(made["id"], "FAILED")
    answers = await asyncio.gather(*(flows.ask(made["id"], "resume") for _ in range(5)))
    assert sorted(answers) == [200, 409, 409, 409, 409]
    await flows.end(made["id"], "a")
    done = await flows.ended(made["id"], "COMPLETED")
    assert done["steps"][0]["result"] == {"payload": "of a"}


async def test_a_step_has_a_task_for_each_item_and_a_resume_repeats_the_failed_ones_alone(flows: Flows) -> None:
    fan = probe("fan", for_each={"to_field": "payload", "items": ["red", "green", "blue"]}, config={})
    joined = {"from_step": "fan", "from_field": "payload", "to_field": "payload", "transform": "JOIN"}
    last = probe("last", "fan", input_mappings=[joined | {"transform_args": {"separator": "+"}}])
    made = await flows.create(fan, last)
    assert (made["total_steps"], len(made["steps"])) == (2, 2)
    for number in (0, 2):
        await flows.end(made["id"], f"fan[{number}]")
    await flows.end(made["id"], "fan[1]", reason="NO", message="no green", category="VALIDATION")
    failed = await flows.ended(made["id"], "FAILED")
    step = failed["steps"][0]
    assert [slot["status"] for slot in step["slots"]] == ["COMPLETED", "FAILED", "COMPLETED"]
    assert (step["task_id"], step["error_message"]) == (None, "1 of 3 slots failed: no green")
    first = {slot["slot_id"]: slot["task_id"] for slot in step["slots"]}
    await flows.post(made["id"], "resume")
    await flows.end(made["id"], "fan[1]")
    await flows.end(made["id"], "last")
    done = await flows.ended(made["id"], "COMPLETED")
    assert done["final_step_result"] == {"payload": "red+green+blue"}
    assert done["steps"][0]["result"] == {"payload": ["red", "green", "blue"]}
    again = {slot["slot_id"]: slot["task_id"] for slot in done["steps"][0]["slots"]}
    assert [name for name in first if first[name] != again[name]] == ["fan[1]"]


async def test_a_cancel_takes_every_slot(api: Stack, flows: Flows) -> None:
    fan = probe("fan", for_each={"to_field": "payload", "items": [str(number) for number in range(120)]}, config={})
    made = await flows.create(fan)
    await flows.step(made["id"], "fan[119]")
    answer = (await api.http.delete(WORKFLOWS + made["id"])).json()
    assert {slot["status"] for slot in answer["steps"][0]["slots"]} == {"CANCELLED"}
    admin = {"authorization": flows.authorization}

    async def alive() -> bool:
        found = (await api.http.get("/api/v1/tasks/?status=PENDING&limit=1000", headers=admin)).json()
        return not {slot["task_id"] for slot in answer["steps"][0]["slots"]} & {task["id"] for task in found}

    await until(alive, timeout=10)


async def signal(api: Stack, workflow_id: str, step_id: str, **said: Any) -> Any:
    answer = await api.http.post(f"{WORKFLOWS}{workflow_id}/steps/{step_id}/signal", json={"decided_by": "ada", **said})
    return answer.status_code, answer.json()


async def test_a_step_whose_task_was_refused_names_none(flows: Flows) -> None:
    made = await flows.create(probe("a", config={"payload": "x", "queue_name": "typo"}))
    failed = (await flows.ended(made["id"], "FAILED"))["steps"][0]
    assert (failed["error_reason"], failed["task_id"]) == ("QUEUE_UNKNOWN", None)


async def test_a_step_waits_for_approval_and_says_who_decided(api: Stack, flows: Flows) -> None:
    made = await flows.create(probe("a"), probe("b", "a", gate="approval"), probe("c", "b", gate="approval"))
    assert (await signal(api, made["id"], "b", approve=True))[1]["reason"] == "STEP_NOT_WAITING"
    await flows.end(made["id"], "a")
    waiting = await flows.step(made["id"], "b", "WAITING")
    assert (waiting["task_id"], waiting["gate"], waiting["decision"]) == (None, "approval", None)
    assert (await signal(api, made["id"], "b", approve=True, comment="fine"))[0] == 200
    assert (await signal(api, made["id"], "b", approve=False))[0] == 409, "once"
    decision = (await flows.step(made["id"], "b"))["decision"]
    assert (decision["approved"], decision["decided_by"], decision["comment"]) == (True, "ada", "fine")
    await flows.end(made["id"], "b")
    await flows.step(made["id"], "c", "WAITING")
    await signal(api, made["id"], "c", approve=False, comment="too red")
    failed = await flows.ended(made["id"], "FAILED")
    assert (failed["steps"][2]["error_reason"], failed["errors"]) == ("STEP_REJECTED", ["c: too red"])
    assert failed["steps"][2]["task_id"] is None, "it never had one"
    await flows.post(made["id"], "resume")
    assert (await flows.step(made["id"], "c", "WAITING"))["task_id"] is None, "nor has it one now"
    await signal(api, made["id"], "c", approve=True)
    await flows.end(made["id"], "c")
    await flows.ended(made["id"], "COMPLETED")
    assert (await signal(api, made["id"], "z", approve=True))[1]["reason"] == "STEP_NOT_FOUND"
    rival = await api.other.post(f"{WORKFLOWS}{made['id']}/steps/c/signal", json={"approve": True, "decided_by": "x"})
    assert rival.json()["reason"] == "WORKFLOW_NOT_FOUND"


async def test_a_step_runs_only_where_its_condition_holds(flows: Flows) -> None:
    good = {"from_step": "a", "from_field": "payload", "op": "eq", "value": "good"}
    better = probe("better", "a", run_if=good | {"op": "ne"})
    made = await flows.create(probe("a"), better, probe("after", "better"), probe("keep", "a", run_if=good))
    await flows.end(made["id"], "a", "good")
    await flows.end(made["id"], "keep")
    done = await flows.ended(made["id"], "COMPLETED")
    assert [step["status"] for step in done["steps"]] == ["COMPLETED", "SKIPPED", "SKIPPED", "COMPLETED"]
    assert done["steps"][1]["run_if"] == good | {"op": "ne"}
    assert (done["completed_steps"], done["progress"]) == (2, 100.0)


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"run_if": {"from_step": "b", "from_field": "payload", "op": "eq", "value": 1}}, "run_if.from_step"),
        ({"run_if": {"from_step": "a", "from_field": "size", "op": "eq", "value": 1}}, "run_if.from_field"),
        ({"run_if": {"from_step": "a", "from_field": "payload.x", "op": "eq", "value": 1}}, "run_if.from_field"),
        ({"run_if": {"from_step": "a", "from_field": "payload", "op": "in", "value": 1}}, "run_if.value"),
        ({"run_if": {"from_step": "a", "from_field": "payload", "op": "lt", "value": None}}, "run_if.value"),
    ],
)
async def test_a_condition_that_cannot_be_judged_is_told_before_anything_runs(
    api: Stack, flows: Flows, fields: dict[str, Any], place: str
) -> None:
    body = {"name": "n", "origin_instance": "o", "steps": [probe("a"), probe("b", "a", **fields)]}
    answer = await api.http.post(WORKFLOWS, json=body, headers={"authorization": flows.authorization})
    assert [item["field"] for item in answer.json()["violations"]] == [f"steps.1.{place}"]


async def test_a_fork_reuses_what_lies_before_and_runs_the_rest_with_other_parameters(api: Stack, flows: Flows) -> None:
    fan = probe("fan", "a", for_each={"to_field": "payload", "items": ["x", "y"]}, input_mappings=[])
    made = await flows.create(probe("a"), fan, probe("b", "a"), probe("c", "b"))
    for name in ("a", "fan[0]", "fan[1]", "b", "c"):
        await flows.end(made["id"], name)
    old = await flows.ended(made["id"], "COMPLETED")
    body = {"from_step": "b", "config": {"duration_ms": 5}, "name": "again"}
    headers = {"authorization": flows.authorization}
    answer = await api.http.post(f"{WORKFLOWS}{made['id']}/fork", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    fork = answer.json()
    assert (fork["name"], fork["forked_from"], fork["completed_steps"]) == ("again", made["id"], 2)
    assert [step["task_id"] for step in fork["steps"][:2]] == [None, None]
    assert [step["result"] for step in fork["steps"][:2]] == [step["result"] for step in old["steps"][:2]]
    assert fork["steps"][2]["config"] == {"duration_ms": 5}
    await flows.end(fork["id"], "b", "anew")
    await flows.end(fork["id"], "c")
    done = await flows.ended(fork["id"], "COMPLETED")
    assert done["steps"][3]["result"] == {"payload": "anew"}
    assert (await flows.get(made["id"]))["steps"][3]["result"] == {"payload": "of a"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"from_step": "z"}, 404),
        ({"from_step": "b", "config": {"hue": 1}}, 422),
        ({"from_step": "b", "config": {"payload": "given and mapped"}}, 400),
        ({}, 422),
    ],
)
async def test_a_fork_that_cannot_run_is_refused(api: Stack, flows: Flows, body: dict[str, Any], status: int) -> None:
    made = await flows.create(probe("a"), probe("b", "a"), start=False)
    headers = {"authorization": flows.authorization}
    answer = await api.http.post(f"{WORKFLOWS}{made['id']}/fork", json=body, headers=headers)
    assert answer.status_code == status, answer.text


@pytest.mark.field("workflow-answer-too-large")
async def test_results_larger_than_any_message_are_answered_as_far_as_there_is_room(api: Stack, flows: Flows) -> None:
    """24 MB of them, where a message takes 16."""
    names = [f"s{number}" for number in range(24)]
    last = {**probe("last"), "depends_on": names}
    made = await flows.create(*(probe(name) for name in names), last)
    for name in names:
        await flows.end(made["id"], name, "x" * 1_000_000)
    await flows.end(made["id"], "last", "the end")
    done = await flows.ended(made["id"], "COMPLETED")
    assert done["final_step_result"] == {"payload": "the end"}
    steps = {step["step_id"]: step for step in done["steps"]}
    assert (steps["last"]["result_omitted"], steps["last"]["result_path"]) == (False, None)
    assert [steps[name]["result_omitted"] for name in names] == [steps[name]["result"] is None for name in names]
    shown = [name for name in names if steps[name]["result"] is not None]
    assert shown == names[:4]
    path = steps["s23"]["result_path"]
    stored = await api.http.get(f"/api/v1/storage/images/{path}")
    assert json.loads(stored.content) == {"payload": "x" * 1_000_000}
    listed = (await api.http.get(WORKFLOWS, params={"limit": 1})).json()["workflows"]
    assert listed[0]["id"] == made["id"] and not listed[0]["steps_omitted"]
    assert sum(step["result"] is not None for step in listed[0]["steps"]) == 2


async def test_a_list_says_where_it_leaves_out_steps(api: Stack, flows: Flows) -> None:
    large = [probe(f"s{number}") for number in range(501)]
    for _ in range(2):
        await flows.create(*large, start=False)
    listed = (await api.http.get(WORKFLOWS, params={"limit": 2})).json()["workflows"]
    assert [(one["steps"], one["steps_omitted"], one["total_steps"]) for one in listed] == [([], True, 501)] * 2
    [one] = (await api.http.get(WORKFLOWS, params={"limit": 1})).json()["workflows"]
    assert (len(one["steps"]), one["steps_omitted"]) == (501, False)


async def test_progress_goes_by_what_steps_like_these_took(flows: Flows) -> None:
    long = {"id": "long", "task_type": "DIAGNOSTIC", "config": {"duration_ms": 500_000}}
    short = {"id": "short", "task_type": "DIAGNOSTIC", "config": {"duration_ms": 2}}
    made = await flows.create(short, long)
    await flows.end(made["id"], "short")
    flows.takes = 1.5
    await flows.end(made["id"], "long")
    flows.takes = 0.0
    await flows.ended(made["id"], "COMPLETED")
    again = await flows.create(short, long)
    predicted = {step["step_id"]: step["predicted_seconds"] for step in again["steps"]}
    assert predicted["long"] >= 1.5 > predicted["short"] >= 0
    await flows.end(again["id"], "long")
    await flows.step(again["id"], "long", "COMPLETED")
    assert 60 < (await flows.get(again["id"]))["progress"] < 100
