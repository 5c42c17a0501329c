"""/approvals/{token}: what a signed link asks of somebody, and their answer, without a key.

A GET decides nothing: whoever scans mail opens the links in it. The page has two buttons, each of which is a POST.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from compute.workflows.v1 import workflows_pb2 as pb
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from gateway.approval_page import ROOT, answered, asking, refusing
from gateway.edge.errors import UnsupportedMediaType, problem, status_of
from gateway.edge.paths import prefix
from gateway.edge.preferences import check_unpacked, head
from gateway.edge.refusals import refused
from gateway.files import ROOT as FILES
from gateway.surfaces.compute.bodies import read_json, validate
from gateway.surfaces.compute.documents import body_of
from gateway.upstream import upstream_of
from services.catalog.workflows import ApprovalAnswer
from services.common.errors import ComputeError, InvalidRequest

_FORM = "application/x-www-form-urlencoded"
_LONGEST_FORM = 20_000
_HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex",
    "x-content-type-options": "nosniff",
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
}
_PAGE: dict[int | str, dict[str, Any]] = {
    200: {"description": "A page for people", "content": {"text/html": {"schema": {"type": "string"}}}}
}
_REFUSED = refused(
    *("LINK_INVALID", "LINK_EXPIRED", "LINK_USED", "UNAVAILABLE", "DEADLINE_EXCEEDED", "STORE_UNREACHABLE"),
    *("SHUTTING_DOWN", "WORKFLOW_UNREADABLE"),
)
router = APIRouter(prefix=ROOT, tags=["Workflows"])


@router.get("/{token}", summary="Show Approval", response_class=HTMLResponse, responses=_PAGE | _REFUSED)
async def show_approval(request: Request, token: str) -> Response:
    """Shows what a link asks, with the pictures it is about and two buttons. Nothing is decided by opening it."""
    try:
        asked = await _resolved(request, token)
        return HTMLResponse(asking(asked, await _pictures(request, asked)), headers=_HEADERS)
    except ComputeError as error:
        return _refusal(request, error)


@router.post(
    "/{token}",
    summary="Decide By Link",
    response_class=HTMLResponse,
    responses=_PAGE
    | refused("BODY_TOO_LARGE", "CONTENT_TYPE_UNSUPPORTED", "CONTENT_CODING_UNSUPPORTED", "CONTENTION", "STORE_BUSY")
    | _REFUSED,
    openapi_extra=body_of(ApprovalAnswer, approve=True, decided_by="ada"),
)
async def decide_by_link(request: Request, token: str) -> Response:
    """Decides, once, by JSON or by the page's form; the step runs, or fails."""
    try:
        answer = await _read(request)
        asked = pb.DecideByLinkRequest(
            token=token, approve=answer.approve, decided_by=answer.decided_by, comment=answer.comment
        )
        done: pb.DecideByLinkResponse = await upstream_of(request).workflows.by_link("DecideByLink", asked)
        return HTMLResponse(answered(done), headers=_HEADERS)
    except ComputeError as error:
        return _refusal(request, error)


async def _resolved(request: Request, token: str) -> pb.ResolveApprovalLinkResponse:
    wanted = pb.ResolveApprovalLinkRequest(token=token)
    found: pb.ResolveApprovalLinkResponse = await upstream_of(request).workflows.by_link("ResolveApprovalLink", wanted)
    return found


async def _pictures(request: Request, asked: pb.ResolveApprovalLinkResponse) -> list[str]:
    """Their addresses on this very host, as the page may show no others; none where storage has them no more."""
    storage, found = upstream_of(request).storage, []
    for path in asked.pictures:
        try:
            made = await storage.create_link(path, tenant=asked.tenant)
        except ComputeError:
            continue
        found.append(f"{prefix(request.scope)}{FILES}/{made.token}")
    return found


async def _read(request: Request) -> ApprovalAnswer:
    """Raises InvalidRequest, UnsupportedMediaType, RequestValidationError."""
    check_unpacked(request)
    kind = head(request, b"content-type").partition(";")[0].strip().lower()
    if kind != _FORM:
        if kind not in ("", "application/json"):
            raise UnsupportedMediaType("send application/json, or the page's form")
        found: ApprovalAnswer = validate(ApprovalAnswer, await read_json(request))
        return found
    body = await request.body()
    try:
        given = dict(parse_qsl(body[:_LONGEST_FORM].decode(), strict_parsing=True, max_num_fields=8))
        decision = given.pop("decision")
        return ApprovalAnswer(approve={"approve": True, "reject": False}[decision], **given)
    except (ValueError, KeyError) as error:
        raise InvalidRequest("choose to approve or to reject, and say who you are (at most 100 characters)") from error


def _refusal(request: Request, error: ComputeError) -> Response:
    """As a page where a browser asks."""
    if "text/html" not in head(request, b"accept"):
        return problem(request, error)
    return HTMLResponse(refusing(error.message, error.reason), status_of(error), _HEADERS)
