"""Links that approve, over gRPC."""

from __future__ import annotations

from compute.workflows.v1 import workflows_pb2 as pb
from compute.workflows.v1 import workflows_pb2_grpc as rpc

from services.common.errors import check_field
from services.common.identity import calling_tenant
from services.common.scopes import OURS, TO_CHANGE, needs
from services.rpc.grpc_server import Context
from services.workflows.approvals import Approvals, Decided, OpenApproval
from services.workflows.calls import COMMENT_LENGTH, signature_of, workflow_id_of
from services.workflows.domain import Decision
from services.workflows.messages import fill_decision


class ApprovalCalls(rpc.WorkflowServiceServicer):
    def __init__(self, approvals: Approvals) -> None:
        self._approvals = approvals

    @needs(TO_CHANGE)
    async def CreateApprovalLink(
        self, request: pb.CreateApprovalLinkRequest, context: Context
    ) -> pb.CreateApprovalLinkResponse:
        owner = calling_tenant()
        approver = signature_of("approver", request.approver) if request.HasField("approver") else None
        token, approval = await self._approvals.create(owner, workflow_id_of(request), request.step_id, approver)
        answer = pb.CreateApprovalLinkResponse(token=token)
        answer.expires_at.FromDatetime(approval.expires_at)
        return answer

    @needs(OURS)
    async def ResolveApprovalLink(
        self, request: pb.ResolveApprovalLinkRequest, context: Context
    ) -> pb.ResolveApprovalLinkResponse:
        return _asked(await self._approvals.resolve(request.token))

    @needs(OURS)
    async def DecideByLink(self, request: pb.DecideByLinkRequest, context: Context) -> pb.DecideByLinkResponse:
        comment = request.comment if request.HasField("comment") else None
        check_field("comment", len(request.comment) <= COMMENT_LENGTH, f"must have at most {COMMENT_LENGTH} characters")
        asked = await self._approvals.resolve(request.token)
        by = asked.approval.approver or signature_of("decided_by", request.decided_by)
        return _decided(await self._approvals.decide(request.token, Decision(request.approve, by, 0, comment)))


def _asked(found: OpenApproval) -> pb.ResolveApprovalLinkResponse:
    approval, workflow = found.approval, found.workflow
    answer = pb.ResolveApprovalLinkResponse(
        tenant=approval.tenant,
        workflow_id=approval.workflow_id,
        workflow_name=workflow.name,
        description=workflow.description,
        step_id=approval.step_id,
        task_type=found.step.task_type,
        approver=approval.approver,
        pictures=found.pictures,
    )
    answer.expires_at.FromDatetime(approval.expires_at)
    return answer


def _decided(found: Decided) -> pb.DecideByLinkResponse:
    answer = pb.DecideByLinkResponse(workflow_name=found.workflow.name, step_id=found.step_id)
    fill_decision(found.decision, answer.decision)
    return answer
