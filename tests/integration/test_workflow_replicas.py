"""Several replicas of the workflows service over gRPC: one moves workflows on, and when it goes another does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import grpc
import pytest
from compute.tasks.v1 import params_pb2, tasks_pb2
from compute.workflows.v1 import workflows_pb2 as pb
from compute.workflows.v1 import workflows_pb2_grpc as rpc

from services.rpc import grpc_server
from services.rpc.grpc_client import connect
from services.rpc.rpc_status import from_rpc_error
from services.workflows import app
from tests.integration.tasks_host import TOKEN, Host, hosting
from tests.waiting import until

COMPLETED = pb.WORKFLOW_STATUS_COMPLETED


@dataclass
class Flows:
    """One replica, as the tenant acme calls it."""

    stub: rpc.WorkflowServiceStub
    host: Host

    async def create(self, *steps: pb.StepDefinition) -> str:
        definition = pb.WorkflowDefinition(name="replicas", steps=steps)
        definition.origin.instance = "test"
        request = pb.CreateWorkflowRequest(definition=definition)
        answer = await self.stub.CreateWorkflow(request, metadata=self.host.metadata, timeout=20)
        return str(answer.workflow.id)

    async def get(self, workflow_id: str) -> pb.Workflow:
        request = pb.GetWorkflowRequest(workflow_id=workflow_id)
        answer = await self.stub.GetWorkflow(request, metadata=self.host.metadata, timeout=20)
        found: pb.Workflow = answer.workflow
        return found

    async def end(self, workflow_id: str, place: int, timeout: float = 15.0) -> None:
        """Its step's task, as a worker does once it is there."""

        async def begun() -> tasks_pb2.Task | None:
            step = (await self.get(workflow_id)).steps[place]
            if step.status != pb.STEP_STATUS_RUNNING:
                return None
            return await self.host.assign("w", step.task_id)

        task = await until(begun, timeout=timeout)
        said = params_pb2.DiagnosticResult(payload=task.spec.params.diagnostic.payload + "!")
        assert await self.host.finish(task.id, task.attempt, result=params_pb2.TaskResult(diagnostic=said))

    async def ended(self, workflow_id: str, status: pb.WorkflowStatus = COMPLETED) -> pb.Workflow:
        async def look() -> pb.Workflow | None:
            found = await self.get(workflow_id)
            return found if found.status == status else None

        return await until(look, timeout=30)


@asynccontextmanager
async def replica(mongodb_url: str, nats_url: str, host: Host) -> AsyncIterator[Flows]:
    settings = app.Settings(
        mongodb_url=mongodb_url,
        mongodb_database=host.database,
        nats_url=nats_url,
        internal_token=TOKEN,
        tasks_target=host.target,
        workflow_leader_patience_seconds=1.0,
        workflow_event_hold_seconds=0.2,
    )
    server = grpc_server.build_server(grpc_server.AuthInterceptor(internal_token=TOKEN, authenticator=None, timeout=20))
    async with app.mount(server, settings):
        port = grpc_server.bind(server, "127.0.0.1:0")
        await server.start()
        async with connect(f"127.0.0.1:{port}") as channel:
            try:
                yield Flows(rpc.WorkflowServiceStub(channel), host)
            finally:
                await server.stop(0)


@pytest.fixture
async def host(mongodb_url: str, nats_url: str) -> AsyncIterator[Host]:
    async with hosting(mongodb_url, nats_url, f"flows_{uuid4().hex[:12]}") as made:
        yield made


def probe(host: Host, step_id: str, before: str = "") -> pb.StepDefinition:
    step = pb.StepDefinition(id=step_id)
    step.spec.queue_name = host.queue
    step.spec.params.diagnostic.SetInParent()
    if before:
        step.depends_on.append(before)
        step.input_mappings.add(from_step=before, from_field="payload", to_field="payload")
    else:
        step.spec.params.diagnostic.payload = "begun"
    return step


async def test_a_workflow_made_on_any_replica_goes_on_and_another_takes_over_in_its_midst(
    mongodb_url: str, nats_url: str, host: Host
) -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(replica(mongodb_url, nats_url, host))
        early = await first.create(probe(host, "a"), probe(host, "b", "a"))
        await first.end(early, 0)  # it leads by now
        async with replica(mongodb_url, nats_url, host) as second:
            late = await second.create(probe(host, "a"), probe(host, "b", "a"))
            await second.end(late, 0)
            await stack.aclose()
            for workflow_id in (early, late):
                await second.end(workflow_id, 1, timeout=30)
                done = await second.ended(workflow_id)
                assert done.final_step_result_json == '{"payload":"begun!!"}'


async def test_a_definition_is_typed_and_told_of_whole_over_grpc_too(
    mongodb_url: str, nats_url: str, host: Host
) -> None:
    async with replica(mongodb_url, nats_url, host) as flows:
        bad = probe(host, "b", "a")
        bad.spec.params.diagnostic.duration_ms = -1
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await flows.create(probe(host, "a"), bad, probe(host, "b", "z"))
        error = from_rpc_error(refused.value)
        assert (error.reason, error.violations[0].field) == ("WORKFLOW_INVALID", "steps.2.id")
        made = await flows.get(await flows.create(probe(host, "a")))
        spec = made.definition.steps[0].spec
        assert (spec.params.diagnostic.payload, spec.queue_name) == ("begun", host.queue)
        assert not spec.HasField("origin")
        empty = pb.CreateWorkflowRequest()
        with pytest.raises(grpc.aio.AioRpcError) as nothing:
            await flows.stub.CreateWorkflow(empty, metadata=host.metadata, timeout=10)
        named = {violation.field for violation in from_rpc_error(nothing.value).violations}
        assert named == {"name", "origin_instance", "steps"}
