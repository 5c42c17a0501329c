"""/api/v1/workflows/{workflow_id}/steps/{step_id}/approval-link: somebody without a key may decide on a step."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
from compute.workflows.v1 import workflows_pb2 as pb
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from gateway.approval_page import ROOT
from gateway.edge.refusals import CHANGES_A_WORKFLOW, JSON_BODY, refused
from gateway.surfaces.compute.bodies import read_json, validate
from gateway.surfaces.compute.documents import body_of
from gateway.upstream import public_address, upstream_of
from services.catalog.workflows import Signature
from services.common.scopes import TO_CHANGE, needs

router = APIRouter(prefix="/api/v1/workflows/{workflow_id}/steps/{step_id}", tags=["Workflows"])


class CreateApprovalLink(BaseModel):
    """Whom a link is for"""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    approver: Signature | None = Field(
        None, description="Then this is who decided, whatever is said with the decision; left out, the page asks"
    )


class ApprovalLink(BaseModel):
    """A link with which whoever has it decides, once"""

    url: str = Field(description="Opens a page with what is to be decided and two buttons; opening it decides nothing")
    expires_at: datetime = Field(description="When the gate's time is up")
    step_id: str = Field(description="The step that waits")
    approver: str | None = Field(None, description="Whom it is for")


@router.post(
    "/approval-link",
    summary="Create Approval Link",
    response_model=ApprovalLink,
    responses=refused(*CHANGES_A_WORKFLOW, *JSON_BODY, "STEP_NOT_FOUND", "STEP_NOT_WAITING"),
    openapi_extra=body_of(CreateApprovalLink, approver="ada"),
)
@needs(TO_CHANGE)
async def create_approval_link(request: Request, workflow_id: str, step_id: str) -> Response:
    """Makes a link for a step that is WAITING: whoever has it decides once, without a key, until its time is up."""
    wanted: CreateApprovalLink = validate(CreateApprovalLink, await read_json(request))
    asked = pb.CreateApprovalLinkRequest(workflow_id=workflow_id, step_id=step_id, approver=wanted.approver)
    made = await upstream_of(request).workflows.call("CreateApprovalLink", asked, request)
    link = {
        "url": f"{public_address(request)}{ROOT}/{made.token}",
        "expires_at": made.expires_at.ToDatetime(UTC),
        "step_id": step_id,
        "approver": wanted.approver,
    }
    return Response(orjson.dumps(link, option=orjson.OPT_UTC_Z), media_type="application/json")
