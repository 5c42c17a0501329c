"""Many workflows resumed or forked in one call: pages, partial refusals by id, and the same call sent again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from compute.workflows.v1 import workflows_pb2 as pb
from compute.workflows.v1 import workflows_pb2_grpc as rpc
from google.rpc import status_pb2

from services.rpc.grpc_client import Credentials
from services.rpc.rpc_status import from_status
from tests.integration.gateway_host import TOKEN, Stack, stack
from tests.integration.workflows_host import WORKFLOWS, Flows, probe
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
FAILURE = {"reason": "NO", "message": "no", "category": "VALIDATION"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(mongodb_url: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with stack(mongodb_url, nats_url, tmp_path_factory.mktemp("objects")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def flows(api: Stack) -> Flows:
    return Flows(api, f"Bearer {await api.key('acme', 'admin')}")


async def bulk(api: Stack, verb: str, key: str = "", **body: Any) -> dict[str, Any]:
    headers = {"idempotency-key": key} if key else {}
    answer = await api.http.post(f"{WORKFLOWS}{verb}", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def rejected(api: Stack, flows: Flows, origin: str) -> str:
    """Id of a workflow that FAILED because its only step was rejected."""
    made = await flows.create(probe("a", gate="approval"), origin_instance=origin)
    await flows.step(made["id"], "a", "WAITING")
    said = {"approve": False, "decided_by": "ada"}
    await api.http.post(f"{WORKFLOWS}{made['id']}/steps/a/signal", json=said)
    await flows.ended(made["id"], "FAILED")
    return str(made["id"])


async def test_hundreds_that_failed_are_resumed_page_by_page_each_once(api: Stack, flows: Flows) -> None:
    room = asyncio.Semaphore(16)

    async def one() -> str:
        async with room:
            return await rejected(api, flows, "many")

    ids = await asyncio.gather(*(one() for _ in range(230)))
    wanted: dict[str, Any] = {"filter": {"origin_instance": "many"}}
    seen: list[str] = []
    cursor, totals = None, []
    while True:
        page = await bulk(api, "resume", **wanted, **({"cursor": cursor} if cursor else {}))
        assert {item["status"] for item in page["items"]} == {200}
        assert {item["workflow"]["status"] for item in page["items"]} == {"RUNNING"}
        seen += [item["id"] for item in page["items"]]
        totals.append(page["total"])
        if (cursor := page["cursor"]) is None:
            break
    assert (len(seen), set(seen)) == (230, set(ids))
    assert totals == [230, 130, 30], "what is left shows how far it is"
    assert (await bulk(api, "resume", **wanted)) == {"items": [], "total": 0, "cursor": None}

    async def all_wait() -> bool:
        query: dict[str, Any] = {"origin_instance": "many", "limit": 1000}
        found = (await api.http.get(WORKFLOWS, params=query)).json()["workflows"]
        return {one["steps"][0]["status"] for one in found} == {"WAITING"}

    await until(all_wait)


async def test_each_is_told_by_its_id_and_the_same_call_can_be_sent_again(api: Stack, flows: Flows) -> None:
    failed = await rejected(api, flows, "mixed")
    running, waiting, cancelled = [await flows.create(probe("a"), start=start) for start in (True, False, True)]
    await api.http.delete(WORKFLOWS + cancelled["id"])
    foreign = (await api.other.post(WORKFLOWS, json=FOREIGN)).json()["id"]
    ids = [failed, running["id"], waiting["id"], cancelled["id"], foreign, "no-such-id", failed.upper()]
    for _ in range(2):
        done = await bulk(api, "resume", ids=ids)
        assert [(item["id"], item["status"], (item["error"] or {}).get("reason")) for item in done["items"]] == [
            (failed, 200, None),
            (running["id"], 200, None),
            (waiting["id"], 409, "WORKFLOW_NOT_RESUMABLE"),
            (cancelled["id"], 409, "WORKFLOW_NOT_RESUMABLE"),
            (foreign, 404, "WORKFLOW_NOT_FOUND"),
            ("no-such-id", 404, "WORKFLOW_NOT_FOUND"),
        ]
    resumed = await flows.get(failed)
    assert resumed["status"] == "RUNNING"


FOREIGN = {
    "name": "n",
    "origin_instance": "o",
    "steps": [{"id": "a", "task_type": "GENERATION", "config": {"prompt": "a mug"}}],
}


async def test_many_are_forked_once_under_a_key(api: Stack, flows: Flows) -> None:
    old = [await flows.create(probe("a"), probe("b", "a"), origin_instance="forked") for _ in range(3)]
    for made in old:
        await flows.end(made["id"], "a", "kept")
        await flows.end(made["id"], "b", **FAILURE)
        await flows.ended(made["id"], "FAILED")
    body: dict[str, Any] = {"filter": {"origin_instance": "forked"}, "from_step": "b", "name": "again"}
    first, again = await bulk(api, "fork", "monday", **body), await bulk(api, "fork", "monday", **body)
    forks = {item["id"]: item["workflow"]["id"] for item in first["items"]}
    assert forks.keys() == {made["id"] for made in old}
    assert {item["id"]: item["workflow"]["id"] for item in again["items"]} == forks
    both = await asyncio.gather(*(bulk(api, "fork", "tuesday", ids=[old[0]["id"]], from_step="b") for _ in range(4)))
    assert len({done["items"][0]["workflow"]["id"] for done in both}) == 1
    other = await bulk(api, "fork", ids=[old[0]["id"]], from_step="b")
    assert other["items"][0]["workflow"]["id"] not in forks.values()
    made = await flows.get(forks[old[0]["id"]])
    assert (made["name"], made["forked_from"], made["steps"][0]["result"]) == (
        "again",
        old[0]["id"],
        {"payload": "kept"},
    )
    await flows.end(made["id"], "b")
    await flows.ended(made["id"], "COMPLETED")
    unknown = await bulk(api, "fork", ids=[old[1]["id"], running_id(other)], from_step="z")
    assert {item["error"]["reason"] for item in unknown["items"]} == {"STEP_NOT_FOUND"}
    changed = {"from_step": "b", "config": {"payload": "mapped as well"}, "task_type": "GENERATION"}
    refused = await api.http.post(f"{WORKFLOWS}fork", json={"ids": [old[1]["id"]], **changed})
    assert refused.status_code == 422, "no such parameter of that type"


def running_id(done: dict[str, Any]) -> str:
    return str(done["items"][0]["workflow"]["id"])


async def test_a_changed_parameter_is_that_of_every_fork(api: Stack, flows: Flows) -> None:
    draw = {"id": "draw", "task_type": "GENERATION", "config": {"prompt": "a mug", "width": 256}}
    body = {"name": "n", "origin_instance": "changed", "steps": [draw]}
    ids = [(await api.http.post(f"{WORKFLOWS}?start=false", json=body)).json()["id"] for _ in range(2)]
    change: dict[str, Any] = {"from_step": "draw", "config": {"width": 320}, "task_type": "GENERATION"}
    done = await bulk(api, "fork", ids=ids, **change)
    for item in done["items"]:
        config = (await flows.get(item["workflow"]["id"]))["steps"][0]["config"]
        assert config == {"prompt": "a mug", "width": 320}
    other = await bulk(api, "fork", ids=ids, from_step="draw", config={"upscale_factor": 2}, task_type="REFINE")
    assert {item["error"]["reason"] for item in other["items"]} == {"INVALID_REQUEST"}
    assert {item["error"]["violations"][0]["field"] for item in other["items"]} == {"task_type"}
    assert "changes" not in str(other), "REST has no field of that name"


async def test_only_the_slots_that_failed_run_anew(api: Stack, flows: Flows) -> None:
    each = {"to_field": "payload", "items": ["x", "y", "z"], "join": "all_done"}
    joined = {"from_step": "fan", "from_field": "payload", "to_field": "payload", "transform": "JOIN"}
    last = probe("last", "fan", input_mappings=[joined | {"transform_args": {"separator": "+"}}])
    made = await flows.create(probe("fan", for_each=each, config={}), last)
    for number, outcome in enumerate(({}, FAILURE, {})):
        await flows.end(made["id"], f"fan[{number}]", **outcome)
    await flows.end(made["id"], "last")
    old = await flows.ended(made["id"], "COMPLETED")
    assert old["final_step_result"] == {"payload": "x+z"}
    fork = await api.http.post(
        f"{WORKFLOWS}{made['id']}/fork",
        json={"from_step": "fan", "failed_slots_only": True},
        headers={"authorization": flows.authorization},
    )
    assert fork.status_code == 200, fork.text
    again = await flows.step(fork.json()["id"], "fan[1]")
    shown = await flows.get(fork.json()["id"])
    assert [slot["status"] for slot in shown["steps"][0]["slots"]] == ["COMPLETED", "RUNNING", "COMPLETED"]
    assert [slot["task_id"] for slot in shown["steps"][0]["slots"]] == [None, again["task_id"], None]
    await flows.end(shown["id"], "fan[1]")
    await flows.end(shown["id"], "last")
    assert (await flows.ended(shown["id"], "COMPLETED"))["final_step_result"] == {"payload": "x+y+z"}
    for name in ("last", "fan"):
        answer = await bulk(api, "fork", ids=[shown["id"]], from_step=name, failed_slots_only=True)
        assert answer["items"][0]["error"]["reason"] == "SLOTS_NOT_FAILED"


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("resume", {}),
        ("resume", {"ids": []}),
        ("resume", {"ids": ["a"], "filter": {}}),
        ("resume", {"ids": ["a"] * 101}),
        ("resume", {"filter": {}, "limit": 101}),
        ("resume", {"filter": {"state": "FAILED"}}),
        ("fork", {"ids": ["a"]}),
        ("fork", {"ids": ["a"], "from_step": "b", "config": {"width": 1}}),
    ],
)
async def test_a_call_that_names_nothing_or_too_much_is_told(api: Stack, verb: str, body: dict[str, Any]) -> None:
    assert (await api.http.post(f"{WORKFLOWS}{verb}", json=body)).status_code == 422


@pytest.mark.parametrize(("verb", "more"), [("resume", {}), ("fork", {"from_step": "a"})])
async def test_a_cursor_of_another_list_is_refused_by_its_name(api: Stack, verb: str, more: dict[str, Any]) -> None:
    answer = await api.http.post(f"{WORKFLOWS}{verb}", json={"filter": {}, "cursor": "x", **more})
    assert (answer.status_code, answer.json()["reason"]) == (400, "PAGE_TOKEN_INVALID")
    assert [item["field"] for item in answer.json()["violations"]] == ["cursor"]
    assert answer.json()["detail"].startswith("cursor ") and "page_token" not in answer.text


async def test_an_empty_id_is_told_over_grpc(api: Stack) -> None:
    stub, metadata = rpc.WorkflowServiceStub(api.channel), Credentials(TOKEN).metadata("acme")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetWorkflow(pb.GetWorkflowRequest(), metadata=metadata, timeout=10)
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.NOT_FOUND, "no workflow has an empty id")


async def test_a_provider_that_is_none_is_answered_with_those_there_are(api: Stack) -> None:
    for config, said in (
        ({"provider_type": "BOGUS"}, "must be one of LOCAL, AI_CORE, FAL, "),
        ({"provider_type": 7}, "must be LOCAL"),
    ):
        step = {"id": "a", "task_type": "GENERATION", "config": {"prompt": "a mug"}, "provider_config": config}
        body = {"name": "n", "origin_instance": "o", "steps": [step]}
        answer = await api.http.post(WORKFLOWS, json=body)
        assert answer.status_code == 422
        assert said in answer.text and "<ProviderType" not in answer.text


async def test_the_same_over_grpc(api: Stack, flows: Flows) -> None:
    failed = await rejected(api, flows, "grpc")
    stub, metadata = rpc.WorkflowServiceStub(api.channel), Credentials(TOKEN).metadata("acme")
    wanted = pb.ResumeWorkflowsRequest(workflow_ids=[failed, "none"])
    done = await stub.ResumeWorkflows(wanted, metadata=metadata, timeout=10)
    good, bad = done.outcomes
    assert (good.workflow.id, good.workflow.status) == (failed, pb.WORKFLOW_STATUS_RUNNING)
    assert from_status(status_pb2.Status.FromString(bad.error)).reason == "WORKFLOW_NOT_FOUND"
    listed = pb.ForkWorkflowsRequest(
        list=pb.ListWorkflowsRequest(origin_instance="grpc", status=pb.WORKFLOW_STATUS_RUNNING),
        fork=pb.ForkWorkflowRequest(from_step="a"),
        idempotency_key="k",
    )
    made = [await stub.ForkWorkflows(listed, metadata=metadata, timeout=10) for _ in range(2)]
    assert [outcome.workflow_id for outcome in made[0].outcomes] == [failed]
    assert made[0].outcomes[0].workflow.id in [outcome.workflow.id for outcome in made[1].outcomes]
