"""Workflows that are bombs: each is refused when it is created, with its place and reason, in little time."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
import pytest_asyncio
from compute.workflows.v1 import workflows_pb2 as pb
from compute.workflows.v1 import workflows_pb2_grpc as rpc

from services.rpc.grpc_client import Credentials
from services.rpc.rpc_status import from_rpc_error
from tests.integration.gateway_host import TOKEN, Stack, stack
from tests.integration.workflows_host import WORKFLOWS, Flows, probe
from tests.waiting import turns

pytestmark = pytest.mark.asyncio(loop_scope="module")
SECONDS, BYTES = 4.0, 200 << 20
MAPPED = {"from_step": "a", "from_field": "payload", "to_field": "payload"}
ARGUMENTS = "steps.1.input_mappings.0.transform_args"
EQUALS = {"from_step": "a", "from_field": "payload", "op": "eq"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(mongodb_url: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    folder: Path = tmp_path_factory.mktemp("files")
    async with stack(mongodb_url, nats_url, folder) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def admin(api: Stack) -> str:
    return f"Bearer {await api.key('acme', 'admin')}"


class Bounds:
    """CPU time and memory of a refusal; everything runs in this process."""

    def __enter__(self) -> None:
        self._began, self._size = time.process_time(), psutil.Process().memory_info().rss

    def __exit__(self, *_: object) -> None:
        assert time.process_time() - self._began < SECONDS
        assert psutil.Process().memory_info().rss - self._size < BYTES


def written(*steps: dict[str, Any], **more: Any) -> str:
    return json.dumps({"name": "bad", "origin_instance": "test", "steps": steps, **more})


def fan(items: Any, to_field: str = "payload") -> dict[str, Any]:
    return probe("a", config={}, for_each={"to_field": to_field, "items": items})


def nested(depth: int) -> str:
    return "[" * depth + "1" + "]" * depth


def with_value(value: str) -> str:
    """In run_if."""
    return written(probe("a"), probe("b", "a", run_if={**EQUALS, "value": "?"})).replace('"?"', value)


def with_item(value: str) -> str:
    return written(fan(["?"], "duration_ms")).replace('"?"', value)


def template(text: str) -> str:
    mapping = MAPPED | {"transform": "TEMPLATE", "transform_args": {"template": text}}
    return written(probe("a"), probe("b", "a", input_mappings=[mapping]))


IN_JSON: dict[str, tuple[Callable[[], str], int, str]] = {
    "mappings": (
        lambda: written(probe("a"), *[probe(f"s{at}", "a", input_mappings=[MAPPED] * 64) for at in range(999)]),
        413,
        "BODY_TOO_COMPLEX",
    ),
    "steps": (lambda: written(*[{"id": f"s{at}", "task_type": "DIAGNOSTIC"} for at in range(100_000)]), 413, "COMPLEX"),
    "1,001 steps": (lambda: written(*[probe(f"s{at}") for at in range(1_001)]), 422, '"steps"'),
    "items": (lambda: written(fan(["x"] * 1_000_000)), 413, "BODY_TOO_COMPLEX"),
    "2,001 items": (lambda: written(fan(["x"] * 2_001)), 422, '"items"'),
    "items of several": (
        lambda: written(*[fan(["x"] * 1_900) | {"id": f"s{at}"} for at in range(11)]),
        400,
        "steps.10.for_each.items",
    ),
    "item that is null": (lambda: with_item("null"), 400, "steps.0.for_each.items.0"),
    "item NaN": (lambda: with_item("NaN"), 422, "finite"),
    "item beyond doubles": (lambda: with_item("1e400"), 422, "finite"),
    "item of 400 digits": (lambda: with_item("1" * 400), 422, "64 bits"),
    "item in item": (lambda: with_item(nested(50)), 422, "12 levels"),
    "value NaN": (lambda: with_value("NaN"), 422, "finite"),
    "value of 400 digits": (lambda: with_value("1" * 400), 422, "64 bits"),
    "value in value": (lambda: with_value(nested(50)), 422, "12 levels"),
    "parameter NaN": (lambda: written(probe("a", config={"duration_ms": float("nan")})), 422, "finite"),
    "parameter of 30 digits": (lambda: written(probe("a", config={"duration_ms": 10**30})), 422, "64 bits"),
    "config": (lambda: written(probe("a"), config={"a": 10**30}), 422, "64 bits"),
    "parsers": (lambda: with_value(nested(20_000)), 422, "recursion"),
    "id of 4 kB": (lambda: written(probe("a" * 4_096)), 422, '"id"'),
    "id in Cyrillic": (lambda: written(probe("\u0430")), 400, "steps.0.id"),
    "id that turns round": (lambda: written(probe("a\u202eb")), 400, "steps.0.id"),
    "id of a slot": (lambda: written(probe("a[0]")), 400, "steps.0.id"),
    "half a character": (lambda: written(probe("a")).replace('"a"', '"\\ud800"', 1), 422, "json_invalid"),
    "template with 65 places": (lambda: template("{value}" * 65), 400, "transform_args"),
    "template of 5 kB": (lambda: template("{value}" + "x" * 5_000), 422, "template"),
    "template with code": (lambda: template("{value.__class__}"), 400, "transform_args"),
    "more than 4 MiB": (
        lambda: written(*[probe(f"s{at}", config={"payload": "x" * 65_500}) for at in range(66)]),
        400,
        "4194304 bytes",
    ),
    "a slot for each of its own": (
        lambda: written(probe("a", config={}, for_each={"to_field": "payload", "from_step": "a", "from_field": "x"})),
        400,
        "steps.0.for_each.from_step",
    ),
    "a condition on itself": (lambda: written(probe("a", run_if={**EQUALS, "value": 1})), 400, "steps.0.run_if"),
    "a circle": (lambda: written(probe("a", "b"), probe("b", "a")), 400, "steps.0.depends_on"),
}


@pytest.mark.field("workflow-numbers-and-depth")
@pytest.mark.parametrize("name", IN_JSON)
async def test_a_bomb_in_json_is_refused_with_its_place(api: Stack, admin: str, name: str) -> None:
    make, status, said = IN_JSON[name]
    content = make().encode()
    headers = {"authorization": admin, "content-type": "application/json"}
    with Bounds():
        answer = await api.http.post(WORKFLOWS, content=content, headers=headers)
    assert answer.status_code == status, answer.text[:300]
    assert said in answer.text
    assert len(answer.content) < 100_000


def message() -> pb.WorkflowDefinition:
    made = pb.WorkflowDefinition(name="bad")
    made.origin.instance = "test"
    return made


def with_steps(*ids: str) -> pb.WorkflowDefinition:
    made = message()
    for step_id in ids:
        made.steps.add(id=step_id).spec.params.diagnostic.SetInParent()
    return made


def many_steps() -> pb.WorkflowDefinition:
    made = message()
    for _ in range(100_000):
        made.steps.add()
    return made


def many_items(count: int, steps: int = 1) -> pb.WorkflowDefinition:
    made = with_steps(*(f"s{at}" for at in range(steps)))
    for step in made.steps:
        step.for_each.to_field, step.for_each.items_json = "duration_ms", f"[{'1,' * (count - 1)}1]"
    return made


def many_mappings() -> pb.WorkflowDefinition:
    made = with_steps("a", *(f"s{at}" for at in range(999)))
    for step in made.steps[1:]:
        step.depends_on.append("a")
        for _ in range(64):
            step.input_mappings.add(from_step="z", from_field="q", to_field="y")
    return made


def mapped(transform: str, **arguments: Any) -> pb.WorkflowDefinition:
    made = with_steps("a", "b")
    made.steps[1].depends_on.append("a")
    mapping = made.steps[1].input_mappings.add(from_step="a", from_field="payload", to_field="payload")
    mapping.transform = transform
    mapping.transform_args.CopyFrom(pb.TransformArguments(**arguments))
    return made


def compared(value: str, from_field: str = "payload") -> pb.WorkflowDefinition:
    made = with_steps("a", "b")
    made.steps[1].depends_on.append("a")
    made.steps[1].run_if.CopyFrom(pb.Condition(from_step="a", from_field=from_field, op="eq", value_json=value))
    return made


def configured(text: str) -> pb.WorkflowDefinition:
    made = with_steps("a")
    made.config_json = text
    return made


def many_names() -> pb.WorkflowDefinition:
    made = with_steps("a", "b")
    made.steps[1].depends_on.extend(["a"] * 300_000)
    return made


IN_MESSAGES: dict[str, tuple[Callable[[], pb.WorkflowDefinition], str]] = {
    "steps": (many_steps, "steps"),
    "items": (lambda: many_items(1_000_000), "steps.0.for_each.items"),
    "items of many": (lambda: many_items(1_999, 1_000), "steps.10.for_each.items"),
    "mappings": (many_mappings, "steps.1.input_mappings.0.from_step"),
    "names": (many_names, "steps.1.depends_on"),
    "an id of 4 kB": (lambda: with_steps("a" * 4_096), "steps.0.id"),
    "a template of 3 MB": (
        lambda: mapped("TEMPLATE", template="{value}" + "x" * 3_000_000),
        "steps.1.input_mappings.0",
    ),
    "a separator of 3 MB": (lambda: mapped("JOIN", separator="x" * 3_000_000), "steps.1.input_mappings.0"),
    "an index": (lambda: mapped("AT_INDEX", index=2**31 - 1), "steps.1.input_mappings.0"),
    "a value of 400 digits": (lambda: compared("1" * 400), "steps.1.run_if.value"),
    "a value NaN": (lambda: compared("NaN"), "steps.1.run_if.value"),
    "a value in a value": (lambda: compared(nested(900)), "steps.1.run_if.value"),
    "a value for parsers": (lambda: compared(nested(200_000)), "steps.1.run_if.value"),
    "a field of 3 MB": (lambda: compared("1", "p" * 3_000_000), "steps.1.run_if.from_field"),
    "a config of 30 digits": (lambda: configured('{"a": 100000000000000000000000000000}'), "config"),
    "a config for parsers": (lambda: configured('{"a":' + nested(200_000) + "}"), "config"),
}


@pytest.mark.field("workflow-numbers-and-depth")
@pytest.mark.parametrize("name", IN_MESSAGES)
async def test_a_bomb_in_a_message_is_refused_with_its_place(api: Stack, name: str) -> None:
    make, place = IN_MESSAGES[name]
    request = pb.CreateWorkflowRequest(definition=make())
    stub = rpc.WorkflowServiceStub(api.channel)
    with Bounds(), pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.CreateWorkflow(request, metadata=Credentials(TOKEN).metadata("acme"), timeout=60)
    error = from_rpc_error(refused.value)
    assert error.reason == "WORKFLOW_INVALID", error.message[:300]
    assert error.violations[0].field.startswith(place)
    assert len(error.violations) <= 100
    assert len(error.message) < 10_000


async def test_just_under_4_mib_is_taken_and_shown(api: Stack, admin: str) -> None:
    flows = Flows(api, admin)
    steps = [probe(f"s{at}", config={"payload": "x" * 65_000}) for at in range(64)]
    made = await flows.create(*steps, start=False)
    assert (made["total_steps"], len(made["steps"][63]["config"]["payload"])) == (64, 65_000)


async def test_what_is_anothers_is_not_there(api: Stack, admin: str) -> None:
    flows = Flows(api, admin)
    made = await flows.create(probe("a", gate="approval"))
    decision = {"approve": True, "decided_by": "eve"}
    for verb, body in (
        ("steps/a/signal", decision),
        ("fork", {"from_step": "a"}),
        ("pause", None),
        ("resume", None),
        ("cleanup", None),
    ):
        answer = await api.other.post(f"{WORKFLOWS}{made['id']}/{verb}", json=body)
        assert (answer.status_code, answer.json()["reason"]) == (404, "WORKFLOW_NOT_FOUND"), verb
    for verb in ("get", "delete"):
        assert (await getattr(api.other, verb)(WORKFLOWS + made["id"])).status_code == 404
    assert (await flows.step(made["id"], "a", "WAITING"))["decision"] is None
    for step_id in ("b", "a[0]", "../a", "a" * 4_096, "\u202ea"):
        answer = await api.http.post(f"{WORKFLOWS}{made['id']}/steps/{step_id}/signal", json=decision)
        assert answer.status_code in (404, 405, 414), step_id


async def test_others_are_served_while_a_large_definition_is_checked(api: Stack) -> None:
    """As close as one interpreter comes to it."""
    stub, metadata = rpc.WorkflowServiceStub(api.channel), Credentials(TOKEN).metadata("acme")
    request = pb.CreateWorkflowRequest(definition=many_items(1_500_000))
    longest, began = 0.0, time.monotonic()
    creating = asyncio.create_task(_refused(stub, request, metadata))
    while not creating.done():
        before = time.monotonic()
        await turns()
        longest = max(longest, time.monotonic() - before)
    assert creating.result() == "WORKFLOW_INVALID"
    assert longest < (time.monotonic() - began) / 3


async def _refused(stub: rpc.WorkflowServiceStub, request: pb.CreateWorkflowRequest, metadata: Any) -> str:
    try:
        await stub.CreateWorkflow(request, metadata=metadata, timeout=60)
    except grpc.aio.AioRpcError as error:
        return str(from_rpc_error(error).reason)
    return ""
