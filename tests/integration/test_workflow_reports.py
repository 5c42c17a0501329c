"""What users of other workflow systems reported, tried here over REST and gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from compute.common.v1.common_pb2 import StringList
from compute.tasks.v1 import params_pb2, worker_pb2
from compute.workflows.v1 import workflows_pb2 as pb
from compute.workflows.v1 import workflows_pb2_grpc as rpc

from services.rpc.grpc_client import Credentials
from tests.integration.gateway_host import TOKEN, Stack, stack
from tests.integration.workflows_host import METADATA, WORKFLOWS, Flows, exists, probe
from tests.waiting import nothing_happens_for, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
NO_FILES = {
    "id": "make",
    "task_type": "EXPERIMENTAL_FAL",
    "config": {"fal_app_id": "fal-ai/flux/dev"},
    "provider_config": {"provider_type": "FAL"},
}


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


async def end_with(flows: Flows, workflow_id: str, step_id: str, **result: Any) -> None:
    """As a worker does whose result is that."""
    task_id = (await flows.step(workflow_id, step_id))["task_id"]
    task = await until(lambda: flows._assigned(task_id))
    request = worker_pb2.FinishTasksRequest(worker_id="worker-1")
    request.finished.add(task_id=task_id, attempt=task.attempt, result=params_pb2.TaskResult(**result))
    assert list((await flows._worker.FinishTasks(request, metadata=METADATA, timeout=10)).accepted) == [True]


def count(step_id: str, of: str, field: str = "payload") -> dict[str, Any]:
    mapped = {"from_step": of, "from_field": field, "to_field": "duration_ms", "transform": "LENGTH"}
    return probe(step_id, of, input_mappings=[mapped])


def whitened(step_id: str, of: str, field: str) -> dict[str, Any]:
    """Each picture on white."""
    each = {"to_field": "base_image", "from_step": of, "from_field": field}
    config = {"background_color": "#ffffff"}
    return {"id": step_id, "task_type": "BACKGROUND_FIX", "config": config, "depends_on": [of], "for_each": each}


@pytest.mark.field("empty-list-of-slots")
@pytest.mark.parametrize("nothing", [None, StringList()])
async def test_two_fan_outs_of_an_empty_list_one_behind_the_other_end_well(
    flows: Flows, nothing: StringList | None
) -> None:
    """apache/airflow#25200, celery/celery#4333. Where there are no files the app's handler says null."""
    first, second = whitened("first", "make", "result_paths"), whitened("second", "first", "result_image_path")
    made = await flows.create(NO_FILES, first, second, count("count", "second", "result_image_path"))
    result = params_pb2.ExperimentalFalResult(result_paths=nothing)
    await end_with(flows, made["id"], "make", experimental_fal=result)
    await flows.end(made["id"], "count", "none")
    done = await flows.ended(made["id"], "COMPLETED")
    assert [(step["status"], step["slots"]) for step in done["steps"]] == [("COMPLETED", [])] * 4
    assert done["steps"][2]["result"]["result_image_path"] == []


async def test_a_fan_out_of_one_item_makes_a_list_of_one(flows: Flows) -> None:
    """celery/celery#3597."""
    fan = probe("fan", config={}, for_each={"to_field": "payload", "items": ["only"]})
    made = await flows.create(fan, count("count", "fan"))
    await flows.end(made["id"], "fan[0]")
    await flows.end(made["id"], "count", "one")
    done = await flows.ended(made["id"], "COMPLETED")
    assert done["steps"][0]["result"] == {"payload": ["only"]}


async def test_slots_keep_their_numbers_and_what_failed_is_no_null_downstream(flows: Flows) -> None:
    """apache/airflow#40321, PrefectHQ/prefect#2656."""
    fan = probe("fan", config={}, max_retries=0, for_each={"to_field": "payload", "items": ["a", "b", "c"]})
    fan["for_each"]["join"] = "all_done"
    then = probe("then", "fan", input_mappings=[])
    then["for_each"] = {"to_field": "payload", "from_step": "fan", "from_field": "payload"}
    made = await flows.create(fan, then)
    await flows.end(made["id"], "fan[2]")
    await flows.end(made["id"], "fan[1]", reason="BROKEN", message="it broke", retryable=False)
    await flows.end(made["id"], "fan[0]")
    for slot in ("then[0]", "then[1]"):
        await flows.end(made["id"], slot)
    done = await flows.ended(made["id"], "COMPLETED")
    states = {slot["slot_id"]: slot["status"] for slot in done["steps"][0]["slots"]}
    assert states == {"fan[0]": "COMPLETED", "fan[1]": "FAILED", "fan[2]": "COMPLETED"}
    assert done["steps"][1]["result"] == {"payload": ["a", "c"]}


async def test_a_resume_runs_again_what_failed_and_nothing_before_it(flows: Flows) -> None:
    """argoproj/argo-workflows#14796, #12009."""
    made = await flows.create(probe("a"), probe("b", "a"), probe("c", "b", max_retries=0), probe("d", "c"))
    for step_id in ("a", "b"):
        await flows.end(made["id"], step_id)
    await flows.end(made["id"], "c", reason="BROKEN", message="it broke", retryable=False)
    failed = await flows.ended(made["id"], "FAILED")
    await flows.post(made["id"], "resume")
    for step_id in ("c", "d"):
        await flows.end(made["id"], step_id)
    done = await flows.ended(made["id"], "COMPLETED")
    same = [one["task_id"] == other["task_id"] for one, other in zip(failed["steps"], done["steps"], strict=True)]
    assert same == [True, True, False, False]
    assert [step["completed_at"] for step in done["steps"][:2]] == [
        step["completed_at"] for step in failed["steps"][:2]
    ]


async def test_a_decision_by_hand_is_not_undone_by_the_gates_clock_and_repeats_nothing_before_it(flows: Flows) -> None:
    """kestra-io/kestra#18507, tinyhumansai/opencompany#438."""
    gated = probe("gated", "sent", gate="approval", gate_timeout_seconds=2)
    made = await flows.create(probe("sent"), gated)
    await flows.end(made["id"], "sent")
    await flows.step(made["id"], "gated", "WAITING")
    before = await flows.get(made["id"])
    answer = await flows._api.http.post(
        f"{WORKFLOWS}{made['id']}/steps/gated/signal", json={"approve": True, "decided_by": "ada"}
    )
    assert answer.status_code == 200
    running = await flows.step(made["id"], "gated")
    await nothing_happens_for(3.0, because="the gate's own time is two seconds")
    after = await flows.get(made["id"])
    assert (after["steps"][1]["task_id"], after["steps"][1]["status"]) == (running["task_id"], "RUNNING")
    assert after["steps"][0]["task_id"] == before["steps"][0]["task_id"]
    await flows.end(made["id"], "gated")
    assert (await flows.ended(made["id"], "COMPLETED"))["steps"][1]["decision"]["decided_by"] == "ada"


async def test_what_takes_something_of_a_skipped_step_is_skipped_and_what_only_follows_it_runs(flows: Flows) -> None:
    """turbot/flowpipe#828, argoproj/argo-workflows#14498."""
    never = {"from_step": "a", "from_field": "payload", "op": "eq", "value": "never"}
    takes, follows = probe("takes", "skipped"), probe("follows", "skipped", input_mappings=[])
    follows["config"] = {"payload": "on its own"}
    made = await flows.create(probe("a"), probe("skipped", "a", run_if=never), takes, follows)
    await flows.end(made["id"], "a")
    await flows.end(made["id"], "follows")
    done = await flows.ended(made["id"], "COMPLETED")
    assert [step["status"] for step in done["steps"]] == ["COMPLETED", "SKIPPED", "SKIPPED", "COMPLETED"]
    assert done["progress"] == 100.0


async def test_a_cancel_stops_every_child_also_those_that_wait_for_a_worker(api: Stack, flows: Flows) -> None:
    """apache/incubator-kie-kogito-runtimes#4252, apache/dolphinscheduler#5982."""
    fan = probe("fan", config={}, for_each={"to_field": "payload", "items": [str(at) for at in range(40)]})
    made = await flows.create(fan, probe("beside"))
    await flows.step(made["id"], "fan[39]")
    running = await flows.get(made["id"])
    ids = [slot["task_id"] for slot in running["steps"][0]["slots"]] + [running["steps"][1]["task_id"]]
    await api.http.delete(WORKFLOWS + made["id"])

    async def all_over() -> bool:
        tasks = [await exists(api, task_id) for task_id in ids]
        return all(task is None or task["status"] == "CANCELLED" for task in tasks)

    await until(all_over, timeout=10)


async def test_a_list_of_ten_thousand_fails_its_step_before_a_slot_is_made(api: Stack, admin: str) -> None:
    """argoproj/argo-workflows#3907, over gRPC."""
    definition = pb.WorkflowDefinition(name="wide")
    definition.origin.instance = "test"
    made = definition.steps.add(id="make")
    made.spec.params.experimental_fal.fal_app_id = "fal-ai/flux/dev"
    made.spec.provider_config_json = '{"provider_type": "FAL"}'
    wide = definition.steps.add(id="wide", depends_on=["make"])
    wide.spec.params.background_fix.background_color = "#ffffff"
    wide.for_each.to_field, wide.for_each.from_step, wide.for_each.from_field = "base_image", "make", "result_paths"
    stub, metadata = rpc.WorkflowServiceStub(api.channel), Credentials(TOKEN).metadata("acme")
    request = pb.CreateWorkflowRequest(definition=definition)
    flow = (await stub.CreateWorkflow(request, metadata=metadata, timeout=20)).workflow.id
    flows = Flows(api, admin)
    paths = [f"generations/{at}/picture-1.png" for at in range(10_000)]
    await end_with(
        flows, flow, "make", experimental_fal=params_pb2.ExperimentalFalResult(result_paths=StringList(values=paths))
    )
    failed = await flows.ended(flow, "FAILED")
    assert (failed["steps"][1]["error_reason"], failed["steps"][1]["slots"]) == ("FAN_OUT_TOO_WIDE", [])


async def test_retries_end_where_they_were_bounded(flows: Flows) -> None:
    """Never more tries than retries were given, and the first."""
    made = await flows.create(probe("a", max_retries=1))
    for _ in range(2):
        await flows.end(made["id"], "a", reason="MODEL_AWAY", message="away", retryable=True)
    failed = await flows.ended(made["id"], "FAILED")
    assert (failed["steps"][0]["retry_count"], failed["steps"][0]["max_retries"]) == (1, 1)
