"""The workflows service over gRPC: messages in, use case, messages out."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from compute.workflows.v1 import workflows_pb2 as pb
from pydantic import ValidationError

from services.catalog.tasks import TYPES
from services.catalog.workflows import WorkflowOrigin
from services.common.errors import InvalidRequest, Violation, ViolationCollector, check_field
from services.common.identity import calling_tenant, current_caller
from services.common.paging import fitting, next_token
from services.common.scopes import TO_CHANGE, TO_READ, needs
from services.net.addresses import AddressPolicy, parse_target
from services.rpc.grpc_server import Context
from services.rpc.proto import set_time
from services.telemetry.trace_context import current
from services.workflows.answers import AnswerRoom
from services.workflows.approval_calls import ApprovalCalls
from services.workflows.approvals import Approvals
from services.workflows.bulk_calls import BulkCalls
from services.workflows.calls import (
    CHANGEABLE,
    COMMENT_LENGTH,
    inputs_of,
    invalid,
    read_list,
    signature_of,
    workflow_id_of,
)
from services.workflows.domain import Decision, Workflow
from services.workflows.fork_requests import read_fork
from services.workflows.inputs import draw_seeds
from services.workflows.keys import checked, of_creation
from services.workflows.messages import WorkflowView, many, read_definition
from services.workflows.ports import StepName, StoredDefinition
from services.workflows.service import NewWorkflow, WorkflowService
from services.workflows.validation import check_definition

ResponseT = TypeVar("ResponseT")
# A list shows the steps of its workflows where there are no more than these in all.
_LISTED_STEPS = 1_000
_LISTED_BYTES = 1 << 20
_SEEDS = 2**32
# A larger definition is checked while others are served.
_LARGE_BYTES = 64 << 10
_CLEARABLE = ("description", "webhook_url")


class WorkflowServicer(ApprovalCalls, BulkCalls):
    def __init__(
        self,
        service: WorkflowService,
        approvals: Approvals,
        task_id: Callable[[str, StepName], str],
        webhooks: AddressPolicy,
    ) -> None:
        """`webhooks` says which addresses may be called."""
        ApprovalCalls.__init__(self, approvals)
        BulkCalls.__init__(self, service)
        self._service = service
        self._view = WorkflowView(task_id)
        self._webhooks = webhooks

    @needs(TO_CHANGE)
    async def CreateWorkflow(self, request: pb.CreateWorkflowRequest, context: Context) -> pb.CreateWorkflowResponse:
        start = request.start if request.HasField("start") else True
        new = await self._new(calling_tenant(), request.definition, checked(request.idempotency_key), start=start)
        made = await self._service.create(new._replace(inputs_folder=inputs_of(request)), start=start)
        return pb.CreateWorkflowResponse(workflow=await self._shown(made.workflow), replayed=made.replayed)

    @needs(TO_READ)
    async def GetWorkflow(self, request: pb.GetWorkflowRequest, context: Context) -> pb.GetWorkflowResponse:
        workflow = await self._service.get(calling_tenant(), workflow_id_of(request))
        return pb.GetWorkflowResponse(workflow=await self._shown(workflow))

    @needs(TO_READ)
    async def ListWorkflows(self, request: pb.ListWorkflowsRequest, context: Context) -> pb.ListWorkflowsResponse:
        wanted, window = read_list(request, calling_tenant())
        found, total = await self._service.find(wanted, window), await self._service.count(wanted)
        whole, room = many(found.items) <= _LISTED_STEPS, AnswerRoom(_LISTED_BYTES)
        shown = fitting([await self._listed(item, room, steps=whole) for item in found.items])
        token = next_token(window, found, len(shown))
        return pb.ListWorkflowsResponse(workflows=shown, next_page_token=token, total=total)

    @needs(TO_CHANGE)
    async def UpdateWorkflow(self, request: pb.UpdateWorkflowRequest, context: Context) -> pb.UpdateWorkflowResponse:
        changes = self._changes(request)
        workflow = await self._service.update(calling_tenant(), workflow_id_of(request), changes)
        return pb.UpdateWorkflowResponse(workflow=await self._shown(workflow))

    @needs(TO_CHANGE)
    async def StartWorkflow(self, request: pb.StartWorkflowRequest, context: Context) -> pb.StartWorkflowResponse:
        workflow = await self._service.start(calling_tenant(), workflow_id_of(request))
        return pb.StartWorkflowResponse(workflow=await self._shown(workflow))

    @needs(TO_CHANGE)
    async def CancelWorkflow(self, request: pb.CancelWorkflowRequest, context: Context) -> pb.CancelWorkflowResponse:
        workflow = await self._service.cancel(calling_tenant(), workflow_id_of(request))
        return pb.CancelWorkflowResponse(workflow=await self._shown(workflow))

    @needs(TO_CHANGE)
    async def PauseWorkflow(self, request: pb.PauseWorkflowRequest, context: Context) -> pb.PauseWorkflowResponse:
        workflow = await self._service.pause(calling_tenant(), workflow_id_of(request))
        return pb.PauseWorkflowResponse(workflow=await self._shown(workflow))

    @needs(TO_CHANGE)
    async def ResumeWorkflow(self, request: pb.ResumeWorkflowRequest, context: Context) -> pb.ResumeWorkflowResponse:
        workflow = await self._service.resume(calling_tenant(), workflow_id_of(request))
        return pb.ResumeWorkflowResponse(workflow=await self._shown(workflow))

    @needs(TO_CHANGE)
    async def SignalStep(self, request: pb.SignalStepRequest, context: Context) -> pb.SignalStepResponse:
        owner = calling_tenant()
        by = signature_of("decided_by", request.decided_by)
        check_field("comment", len(request.comment) <= COMMENT_LENGTH, f"must have at most {COMMENT_LENGTH} characters")
        comment = request.comment if request.HasField("comment") else None
        decision = Decision(request.approve, by, 0, comment)
        workflow = await self._service.signal(owner, workflow_id_of(request), request.step_id, decision)
        return pb.SignalStepResponse(workflow=await self._shown(workflow))

    @needs(TO_CHANGE)
    async def ForkWorkflow(self, request: pb.ForkWorkflowRequest, context: Context) -> pb.ForkWorkflowResponse:
        fork = read_fork(request)
        made = await self._service.fork(calling_tenant(), workflow_id_of(request), fork)
        return pb.ForkWorkflowResponse(workflow=await self._shown(made.workflow), replayed=made.replayed)

    @needs(TO_CHANGE)
    async def CleanupWorkflow(self, request: pb.CleanupWorkflowRequest, context: Context) -> pb.CleanupWorkflowResponse:
        tasks = request.cleanup_tasks if request.HasField("cleanup_tasks") else True
        done = await self._service.clean(calling_tenant(), workflow_id_of(request), tasks=tasks)
        return pb.CleanupWorkflowResponse(
            workflow=await self._shown(done.workflow),
            tasks_processed=done.tasks_processed,
            tasks_cleaned=done.tasks_cleaned,
            deleted_paths=done.deleted_paths,
            errors=[pb.CleanupError(**error._asdict()) for error in done.errors],
        )

    async def _new(self, tenant: str, message: pb.WorkflowDefinition, key: str, *, start: bool) -> NewWorkflow:
        """Raises InvalidRequest with a violation for everything that is wrong."""
        refusals, stored = ViolationCollector(), None
        with refusals:
            fields = self._fields(message)
        with refusals:
            large = message.ByteSize() > _LARGE_BYTES
            stored = await asyncio.to_thread(_checked, message) if large else _checked(message)
        refusals.told()
        assert stored is not None
        if any(TYPES[step.task_type].internal for step in stored.definition.steps):
            current_caller().require("admin")
        mark = of_creation(stored, fields, start=start) if key else ""
        return NewWorkflow(tenant, _seeded(stored), traceparent=current() or None, key=key, fingerprint=mark, **fields)

    def _fields(self, message: pb.WorkflowDefinition) -> dict[str, Any]:
        origin = message.origin
        values: dict[str, Any] = {"name": message.name, "origin_instance": origin.instance}
        for name in ("description", "webhook_url"):
            if message.HasField(name):
                values[name] = getattr(message, name)
        for name in ("zone", "tenant_id", "reference"):
            if origin.HasField(name):
                values[f"origin_{name}"] = getattr(origin, name)
        try:
            found = WorkflowOrigin.model_validate(values).model_dump()
        except ValidationError as error:
            raise invalid(error) from error
        self._check_webhook(found["webhook_url"])
        return found

    def _changes(self, request: pb.UpdateWorkflowRequest) -> dict[str, Any]:
        changes: dict[str, Any] = {}
        for name in request.clear:
            check_field("clear", name in _CLEARABLE, f"must name {' or '.join(_CLEARABLE)}")
            changes[name] = None
        for name, adapter in CHANGEABLE.items():
            if request.HasField(name):
                check_field(name, name not in changes, "is set and cleared at once")
                try:
                    changes[name] = adapter.validate_python(getattr(request, name))
                except ValidationError as error:
                    raise invalid(error, name) from error
        self._check_webhook(changes.get("webhook_url"))
        return changes

    def _check_webhook(self, url: str | None) -> None:
        if url is None:
            return
        try:
            self._webhooks.check(parse_target(url))
        except InvalidRequest as error:
            why = f"may not be called: {error.message}"
            raise InvalidRequest(
                f"webhook_url {why}", reason="URL_NOT_ALLOWED", violations=(Violation("webhook_url", why),)
            ) from error

    async def _shown(self, workflow: Workflow) -> pb.Workflow:
        shown = await self._listed(workflow, AnswerRoom(), steps=True)
        for pin in await self._service.pins(workflow):
            picture = shown.pinned.add(url=pin.url, path=pin.path, sha256=pin.sha256)
            set_time(picture.fetched_at, pin.at)
        return shown

    async def _listed(self, workflow: Workflow, room: AnswerRoom, *, steps: bool) -> pb.Workflow:
        stored = await self._service.definition(workflow.id)
        if steps:
            results, hits = await self._service.results(workflow, room), await self._service.hits(workflow)
            return self._view.whole(workflow, stored, results, hits)
        head = self._view.head(workflow, stored)
        head.steps_omitted = True
        return head


def _checked(message: pb.WorkflowDefinition) -> StoredDefinition:
    """Raises InvalidRequest: WORKFLOW_INVALID."""
    stored = read_definition(message)
    check_definition(stored.definition)
    return stored


def _seeded(stored: StoredDefinition) -> StoredDefinition:
    drawn = draw_seeds(stored.definition, lambda: secrets.randbelow(_SEEDS))
    steps = tuple(replace(step, seeds=drawn.get(step.id, {})) for step in stored.definition.steps)
    return stored._replace(definition=replace(stored.definition, steps=steps))
