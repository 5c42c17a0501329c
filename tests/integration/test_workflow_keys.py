"""Workflows under an Idempotency-Key: the same request once, another one refused, over REST and gRPC."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from compute.tasks.v1 import params_pb2, tasks_pb2
from compute.workflows.v1 import workflows_pb2 as pb
from compute.workflows.v1 import workflows_pb2_grpc as rpc
from httpx2 import Response

from services.rpc.grpc_client import Credentials
from services.rpc.rpc_status import from_rpc_error
from tests.integration.gateway_host import TOKEN, Stack, stack
from tests.integration.test_gateway_tasks import png
from tests.integration.workflows_host import WORKFLOWS, Flows, probe

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.field("workflow-key-ignored")]
FAILURE = {"reason": "NO", "message": "no", "category": "VALIDATION"}
DRAW: dict[str, Any] = {"id": "draw", "task_type": "GENERATION", "config": {"prompt": "a mug", "width": 256}}
BODY: dict[str, Any] = {"name": "n", "origin_instance": "keys", "steps": [DRAW]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(mongodb_url: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with stack(mongodb_url, nats_url, tmp_path_factory.mktemp("objects")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def flows(api: Stack) -> Flows:
    return Flows(api, f"Bearer {await api.key('acme', 'admin')}")


async def post(api: Stack, path: str, key: str, body: dict[str, Any]) -> Response:
    return await api.http.post(WORKFLOWS + path, json=body, headers={"idempotency-key": key})


def told(answer: Response) -> tuple[Any, ...]:
    return answer.status_code, answer.json().get("reason"), answer.headers.get("idempotent-replayed")


async def test_a_workflow_is_created_once_under_a_key(api: Stack) -> None:
    first = await post(api, "?start=false", "one", BODY)
    spelled = {**BODY, "steps": [DRAW | {"config": {"width": 256.0, "prompt": "a mug"}}]}
    again = await post(api, "?start=false", "one", spelled)
    assert (told(first), told(again)) == ((200, None, None), (200, None, "true"))
    assert again.json() == first.json(), "the seed that was drawn first among it"
    for path, other in (("?start=false", {**BODY, "name": "m"}), ("", BODY)):
        assert told(await post(api, path, "one", other)) == (422, "IDEMPOTENCY_KEY_REUSED", None)
    elsewhere = await api.other.post(WORKFLOWS, json=BODY, headers={"idempotency-key": "one"})
    assert elsewhere.json()["id"] != first.json()["id"]
    both = await asyncio.gather(*(post(api, "?start=false", "many", BODY) for _ in range(8)))
    assert len({answer.json()["id"] for answer in both}) == 1
    assert [answer.headers.get("idempotent-replayed") for answer in both].count(None) == 1
    assert told(await post(api, "", "a b", BODY))[:2] == (400, "IDEMPOTENCY_KEY_INVALID")


async def test_of_different_bodies_at_once_one_has_the_key(api: Stack) -> None:
    bodies = [{**BODY, "name": f"n{number}"} for number in range(6)]
    answers = await asyncio.gather(*(post(api, "?start=false", "race", body) for body in bodies))
    made = [answer for answer in answers if answer.status_code == 200]
    assert len(made) == 1
    assert {told(answer)[1] for answer in answers if answer not in made} == {"IDEMPOTENCY_KEY_REUSED"}


async def test_pictures_in_the_request_are_the_same_again_and_go_with_a_spent_key(api: Stack) -> None:
    picture = base64.b64encode(png()).decode()
    config = {"prompt": "a mug", "reference_image_data": picture}
    body = {**BODY, "steps": [DRAW | {"config": config}]}
    first, again = [await post(api, "?start=false", "picture", body) for _ in range(2)]
    assert (told(first), told(again)) == ((200, None, None), (200, None, "true"))
    path = first.json()["steps"][0]["config"]["reference_image_path"]
    task = {"task_type": "GENERATION", "origin_instance": "keys", **config}
    other = await api.http.post("/api/v1/tasks/", json=task, headers={"idempotency-key": "picture"})
    taken = other.json()["reference_image_path"]
    assert taken != path, "a task's pictures go with the task"
    change = {"from_step": "draw", "config": {"reference_image_data": picture}}
    forks = [await post(api, f"{first.json()['id']}/fork", "picture", change) for _ in range(2)]
    assert [told(fork) for fork in forks] == [(200, None, None), (200, None, "true")]
    await api.http.post(f"{WORKFLOWS}{first.json()['id']}/cleanup")
    assert told(await post(api, "?start=false", "picture", body)) == (422, "IDEMPOTENCY_KEY_SPENT", None)
    assert (await api.http.get(f"/api/v1/storage/images/{path}")).status_code == 404
    assert (await api.http.get(f"/api/v1/storage/images/{taken}")).status_code == 200


async def test_a_fork_is_made_once_under_a_key(api: Stack) -> None:
    old = [(await api.http.post(f"{WORKFLOWS}?start=false", json=BODY)).json()["id"] for _ in range(2)]
    change = {"from_step": "draw", "config": {"width": 320}}
    first, again = [await post(api, f"{old[0]}/fork", "fork", change) for _ in range(2)]
    assert (told(first), told(again)) == ((200, None, None), (200, None, "true"))
    assert again.json()["id"] == first.json()["id"]
    other = await post(api, f"{old[0]}/fork", "fork", {"from_step": "draw", "config": {"width": 384}})
    assert told(other) == (422, "IDEMPOTENCY_KEY_REUSED", None)
    assert (await post(api, f"{old[1]}/fork", "fork", change)).json()["id"] != first.json()["id"]
    many = await post(api, "fork", "fork", {"ids": old[:1], "task_type": "GENERATION", **change})
    assert many.json()["items"][0]["workflow"]["id"] == first.json()["id"], "alone or among many"
    renamed = await post(api, "fork", "fork", {"ids": old, "task_type": "GENERATION", "name": "x", **change})
    assert [(item["status"], item["error"]["reason"]) for item in renamed.json()["items"]] == [
        (422, "IDEMPOTENCY_KEY_REUSED")
    ] * 2
    await api.http.post(f"{WORKFLOWS}{first.json()['id']}/cleanup")
    assert told(await post(api, f"{old[0]}/fork", "fork", change)) == (422, "IDEMPOTENCY_KEY_SPENT", None)


async def test_a_filter_finds_none_of_the_forks_under_the_same_key(api: Stack, flows: Flows) -> None:
    old = [await flows.create(probe("a"), origin_instance="again") for _ in range(3)]
    for made in old:
        await flows.end(made["id"], "a", **FAILURE)
        await flows.ended(made["id"], "FAILED")
    body: dict[str, Any] = {"filter": {"origin_instance": "again"}, "from_step": "a", "limit": 2}
    seen: list[dict[str, str]] = []
    for _ in range(2):
        first = (await post(api, "fork", "monday", body)).json()
        rest = (await post(api, "fork", "monday", body | {"cursor": first["cursor"]})).json()
        assert (first["total"], rest["cursor"]) == (3, None)
        forks = {item["id"]: item["workflow"]["id"] for item in first["items"] + rest["items"]}
        for fork in forks.values():
            if not seen:
                await flows.end(fork, "a", **FAILURE)
                await flows.ended(fork, "FAILED")
        seen.append(forks)
    assert seen[0].keys() == {made["id"] for made in old}
    assert seen[0] == seen[1]
    later = (await post(api, "fork", "tuesday", body | {"limit": 100})).json()
    assert later["total"] == 6, "under another key they are workflows like any other"


async def test_the_same_over_grpc(api: Stack) -> None:
    stub, metadata = rpc.WorkflowServiceStub(api.channel), Credentials(TOKEN).metadata("acme")
    definition = pb.WorkflowDefinition(name="n", origin={"instance": "keys"})
    params = params_pb2.TaskParams(generation=params_pb2.GenerationParams(prompt="a mug"))
    definition.steps.add(id="draw", spec=tasks_pb2.TaskSpec(params=params))
    wanted = pb.CreateWorkflowRequest(definition=definition, start=False, idempotency_key="grpc")
    made = [await stub.CreateWorkflow(wanted, metadata=metadata, timeout=10) for _ in range(2)]
    assert [one.replayed for one in made] == [False, True]
    assert made[0].workflow == made[1].workflow
    fork = pb.ForkWorkflowRequest(workflow_id=made[0].workflow.id, from_step="draw", idempotency_key="grpc")
    forks = [await stub.ForkWorkflow(fork, metadata=metadata, timeout=10) for _ in range(2)]
    assert [one.replayed for one in forks] == [False, True]
    assert forks[0].workflow.id == forks[1].workflow.id
    wanted.definition.name = "m"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.CreateWorkflow(wanted, metadata=metadata, timeout=10)
    assert (caught.value.code(), from_rpc_error(caught.value).reason) == (
        grpc.StatusCode.ALREADY_EXISTS,
        "IDEMPOTENCY_KEY_REUSED",
    )
