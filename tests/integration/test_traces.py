"""One trace from the HTTP request through every hop to Triton's models, webhooks and events; also after a crash."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from compute.tasks.v1 import tasks_pb2 as pb
from compute.tasks.v1 import tasks_pb2_grpc as rpc
from nats.js.errors import NotFoundError

from deploy.local.paths import StackFolder
from deploy.local.settings import ExternalServers, Ports
from deploy.local.stack import Stack
from services.messaging.subjects.tasks import EVENTS
from services.rpc.grpc_client import connect
from tests.integration.webhooks_host import receiving
from tests.nats_server import connected
from tests.otlp_receiver import OtlpReceiver, ReceivedSpan, receiving_traces
from tests.stack import RunningStack
from tests.waiting import until

TASKS = "/api/v1/tasks/"
DRAWN = {"task_type": "GENERATION", "prompt": "a red mug", "origin_instance": "shop"}
CREATE, RUN, PROVIDER, MODEL = "create task", "run task", "provider LOCAL", "model diffusion"
UPLOAD = "compute.storage.v1.StorageService/UploadObject"


@pytest.fixture(scope="module")
def receiver() -> Iterator[OtlpReceiver]:
    with receiving_traces() as found:
        yield found


@pytest.fixture(scope="module")
def traced(
    receiver: OtlpReceiver, stack: RunningStack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningStack]:
    """A stack that records traces, over the Triton server of the other one."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        environment.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
        environment.setenv("WEBHOOK_ALLOW_LOOPBACK", "true")
        elsewhere = ExternalServers(triton_target=stack.addresses.triton)
        folder = StackFolder(tmp_path_factory.mktemp("traced"))
        with Stack(folder, Ports.free(), elsewhere, given=os.environ) as made:
            yield RunningStack(made)


def given() -> tuple[str, str]:
    """A trace and its traceparent, as a caller sends it."""
    trace = uuid4().hex
    return trace, f"00-{trace}-{uuid4().hex[:16]}-01"


@pytest.fixture
async def http(traced: RunningStack) -> AsyncIterator[httpx2.AsyncClient]:
    async with client_of(traced) as client:
        yield client


def client_of(stack: RunningStack) -> httpx2.AsyncClient:
    headers = {"authorization": f"Bearer {stack.api_key}"}
    return httpx2.AsyncClient(base_url=stack.base_url, headers=headers, timeout=90)


async def draw(http: httpx2.AsyncClient, traceparent: str, **more: Any) -> tuple[httpx2.Response, dict[str, Any]]:
    headers = {"prefer": "wait=60"} | ({"traceparent": traceparent} if traceparent else {})
    answer = await http.post(TASKS, json=DRAWN | {"seed": 7} | more, headers=headers)
    task: dict[str, Any] = answer.json()
    assert answer.status_code == 200 and task["status"] == "COMPLETED", answer.text
    return answer, task


def chain(found: dict[str, ReceivedSpan], *names: str) -> list[str]:
    """The services along these spans, each of which must be the parent of the next."""
    for above, below in pairwise(names):
        assert found[below].parent == found[above].id, (above, below)
        assert found[above].begun <= found[below].begun
    return [found[name].service for name in names]


async def test_one_trace_leads_from_the_request_to_the_model(receiver: OtlpReceiver, http: httpx2.AsyncClient) -> None:
    trace, traceparent = given()
    answer, task = await draw(http, traceparent)
    found = await receiver.of(trace, f"POST {TASKS}", CREATE, RUN, PROVIDER, MODEL, UPLOAD)
    services = chain(found, f"POST {TASKS}", CREATE, RUN, PROVIDER, MODEL)
    assert services[0] == "atelier-gateway" and services[1].startswith("atelier-access-tasks-")
    assert services[2:] == ["atelier-inference"] * 3
    assert chain(found, RUN, UPLOAD)[1] == "atelier-storage"
    assert found[f"POST {TASKS}"].parent == traceparent[36:52]
    assert found[RUN].attributes == {"task.id": task["id"], "attempt": "1"}
    assert found[f"POST {TASKS}"].attributes["http.response.status_code"] == "200"
    assert answer.headers["traceparent"] == f"00-{trace}-{found[f'POST {TASKS}'].id}-01"
    assert not [span for span in receiver.spans if "mug" in str(span)]


async def test_a_request_without_a_trace_begins_one_and_health_does_not(
    receiver: OtlpReceiver, http: httpx2.AsyncClient
) -> None:
    answer, _ = await draw(http, "", seed=8)
    trace = answer.headers["traceparent"][3:35]
    found = await receiver.of(trace, f"POST {TASKS}", CREATE, RUN, PROVIDER, MODEL)
    assert found[f"POST {TASKS}"].parent == ""
    assert "traceparent" not in (await http.get("/health")).headers
    assert not [span for span in receiver.spans if "health" in span.name.lower() or "Heartbeat" in span.name]


async def test_each_task_of_a_group_stays_in_its_own_trace(receiver: OtlpReceiver, http: httpx2.AsyncClient) -> None:
    asked = [given() for _ in range(6)]
    await asyncio.gather(*(draw(http, traceparent, seed=20 + number) for number, (_, traceparent) in enumerate(asked)))
    for trace, _ in asked:
        found = await receiver.of(trace, f"POST {TASKS}", CREATE, RUN, PROVIDER, MODEL)
        chain(found, f"POST {TASKS}", CREATE, RUN, PROVIDER, MODEL)
        assert len([span for span in receiver.spans if span.trace == trace and span.name == RUN]) == 1


async def test_a_run_after_a_crash_belongs_to_its_trace(
    receiver: OtlpReceiver, traced: RunningStack, http: httpx2.AsyncClient
) -> None:
    trace, traceparent = given()
    body = {"task_type": "DIAGNOSTIC", "origin_instance": "shop", "payload": "x", "duration_ms": 3000}
    made = await http.post(TASKS, json=body, headers={"traceparent": traceparent})
    assert made.status_code == 200, made.text
    task = made.json()

    async def runs() -> bool:
        return bool((await http.get(f"{TASKS}{task['id']}")).json()["status"] == "EXECUTING")

    await until(runs)
    await receiver.of(trace, f"POST {TASKS}", CREATE)
    for name in ("inference", "tasks"):
        traced.kill(name)
    await asyncio.to_thread(traced.wait_recovered)

    async def completed() -> bool:
        return bool((await http.get(f"{TASKS}{task['id']}")).json()["status"] == "COMPLETED")

    await until(completed, 90)
    found = await receiver.of(trace, f"POST {TASKS}", CREATE, RUN)
    chain(found, f"POST {TASKS}", CREATE, RUN)
    assert int(found[RUN].attributes["attempt"]) >= 2


async def test_every_step_of_a_workflow_belongs_to_the_trace_of_its_request(
    receiver: OtlpReceiver, http: httpx2.AsyncClient
) -> None:
    """Two at the same time, so that neither gets into the other's."""

    async def run(trace: str, traceparent: str) -> None:
        config = {"payload": trace, "duration_ms": 100}
        steps = [
            {"id": name, "task_type": "DIAGNOSTIC", "config": config, "depends_on": before}
            for name, before in (("one", []), ("two", ["one"]), ("three", ["two"]))
        ]
        body = {"name": "traced", "origin_instance": "shop", "steps": steps}
        made = await http.post("/api/v1/workflows/", json=body, headers={"traceparent": traceparent})
        assert made.status_code == 200, made.text
        place = f"/api/v1/workflows/{made.json()['id']}"

        async def ended() -> bool:
            return bool((await http.get(place)).json()["status"] == "COMPLETED")

        await until(ended, 60)

    asked = [given() for _ in range(2)]
    await asyncio.gather(*(run(*one) for one in asked))
    for trace, _ in asked:

        async def all_there(trace: str = trace) -> bool:
            names = [span.name for span in list(receiver.spans) if span.trace == trace]
            return min(names.count(RUN), names.count(CREATE)) >= 3  # exporters send theirs when they like

        await until(all_there, 30)
        found = await receiver.of(trace, "POST /api/v1/workflows/")
        [request] = [span for span in receiver.spans if span.trace == trace and span.name.startswith("POST")]
        created = [span for span in receiver.spans if span.trace == trace and span.name == CREATE]
        runs = [span for span in receiver.spans if span.trace == trace and span.name == RUN]
        assert len(created) == len(runs) == 3 and request is found["POST /api/v1/workflows/"]
        assert {span.parent for span in runs} == {span.id for span in created}


async def test_events_and_webhooks_carry_it(
    receiver: OtlpReceiver, traced: RunningStack, http: httpx2.AsyncClient
) -> None:
    trace, traceparent = given()
    async with receiving() as hook:
        url = f"http://127.0.0.1:{hook.port}/hook"
        _, task = await draw(http, traceparent, seed=40, webhook_url=url)
        [heard] = await hook.wait()
    found = await receiver.of(trace, CREATE, "webhook")
    chain(found, CREATE, "webhook")
    assert heard.headers["traceparent"] == f"00-{trace}-{found['webhook'].id}-01"
    message = await event_of(traced, task["id"], "completed")
    assert message.headers["traceparent"] == f"00-{trace}-{found[CREATE].id}-01"


async def event_of(stack: RunningStack, task_id: str, verb: str) -> Any:
    bus = await connected(stack.addresses.nats_url, stack.nats_credentials)
    subject = f"evt.v1.demo.task.{task_id}.{verb}"

    async def stored() -> Any:
        try:
            return await bus.jetstream().get_last_msg(EVENTS, subject)
        except NotFoundError:
            return None

    try:
        return await until(stored)
    finally:
        await bus.close()


async def test_a_stack_that_records_nothing_hands_a_callers_trace_on(stack: RunningStack) -> None:
    trace, traceparent = given()
    async with client_of(stack) as http, connect(stack.addresses.tasks) as channel:
        answer, task = await draw(http, traceparent, seed=50)
        assert answer.headers["traceparent"] == traceparent
        metadata = (("authorization", f"Bearer {stack.api_key}"),)
        stub = rpc.TaskServiceStub(channel)
        found = await stub.GetTask(pb.GetTaskRequest(task_id=task["id"]), metadata=metadata, timeout=20)
        assert found.task.traceparent == traceparent and trace in traceparent
        assert (await event_of(stack, task["id"], "completed")).headers["traceparent"] == traceparent
        plain, task = await draw(http, "", seed=51)
        assert "traceparent" not in plain.headers
        assert "traceparent" not in (await event_of(stack, task["id"], "completed")).headers
        for wrong in ("a red mug", f"00-{'0' * 32}-{'0' * 16}-01"):
            assert "traceparent" not in (await draw(http, wrong, seed=52))[0].headers
