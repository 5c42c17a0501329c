"""Why a task failed, as a stable code wherever its failure is told."""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from compute.events.v1 import events_pb2
from compute.tasks.v1 import tasks_pb2 as pb
from compute.tasks.v1 import tasks_pb2_grpc as rpc
from compute.tasks.v1 import worker_pb2
from compute.webhooks.v1 import webhooks_pb2
from google.protobuf import json_format

from services.catalog.enums import ErrorCategory
from services.common import errors
from services.rpc.grpc_client import Credentials
from services.tasks.domain import Failure, Task
from services.tasks.outgoing import outgoing
from services.worker.outcomes import failure_of
from tests.integration.gateway_host import TASKS, TOKEN, Stack, events, stack
from tests.integration.test_gateway_events import settled

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(mongodb_url: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with stack(mongodb_url, nats_url, tmp_path_factory.mktemp("objects")) as made:
        yield made


@pytest.mark.field("reason-code")
@pytest.mark.parametrize("category", [*ErrorCategory])
async def test_a_failed_task_tells_its_reason_over_rest_grpc_and_in_its_event(
    api: Stack, nats_url: str, category: ErrorCategory
) -> None:
    task, reason = await api.create(), f"BECAUSE_OF_{category}"
    before = (await settled(nats_url, task["id"], 1))[0] - 1
    await api.finish(task["id"], failure=worker_pb2.TaskFailure(reason=reason, message="no", category=category))
    failed = (await api.http.get(f"{TASKS}{task['id']}")).json()
    assert (failed["status"], failed["error_reason"], failed["error_category"]) == ("FAILED", reason, category)
    metadata = Credentials(TOKEN).metadata("acme")
    found = await rpc.TaskServiceStub(api.channel).GetTask(pb.GetTaskRequest(task_id=task["id"]), metadata=metadata)
    assert found.task.error_reason == reason
    headers = {"last-event-id": str(before)}
    async with api.http.stream("GET", f"{TASKS}{task['id']}/events", headers=headers) as answer:
        told = [data for name, data in [event async for event in events(answer)] if name == "status"][-1]["data"]
    assert (told["error_reason"], told["error_message"]) == (reason, "no")
    json_format.ParseDict(told, events_pb2.TaskStatusEvent())


async def test_a_task_that_has_not_failed_has_none(api: Stack) -> None:
    task = await api.create()
    assert task["error_reason"] is None
    listed = (await api.http.get(TASKS)).json()
    assert all("error_reason" in item for item in listed)


@pytest.mark.field("reason-code")
async def test_a_webhook_says_the_reason_too() -> None:
    spec = json.dumps({"common": {"origin_instance": "shop", "webhook_url": "https://shop.example/hook"}, "params": {}})
    task = Task("1" * 8, "acme", "GENERATION", "inference", spec, 0, 1, 1).created().claimed("w1", 2)
    failure = Failure("PROMPT_REFUSED", "no", "VALIDATION", retryable=False)
    failed = task.failed(failure, (), 3, backoff=0)
    _, notice = outgoing(failed, failed.outbox[-1])
    body = json.loads(webhooks_pb2.Notice.FromString(notice.payload).body)
    assert body["data"]["error_reason"] == "PROMPT_REFUSED"


async def test_every_kind_of_failure_of_a_worker_has_a_reason_and_a_category() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ComputeError)]
    assert len(kinds) > 15
    for kind in kinds:
        words = [name for name in inspect.signature(kind).parameters if name in ("why", "detail")]
        failure = failure_of(kind("said", *words))
        assert failure.reason.isupper() and failure.category in [*ErrorCategory], kind
