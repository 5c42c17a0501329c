"""What calls to the workflows service have in common."""

from __future__ import annotations

from typing import Any

from compute.workflows.v1 import workflows_pb2 as pb
from pydantic import TypeAdapter, ValidationError

from services.catalog.folders import is_inputs_folder
from services.catalog.workflows import Description, Name, WebhookUrl
from services.common.errors import InvalidRequest, Violation, ViolationCollector, check_field
from services.common.paging import ListWindow, read_window
from services.workflows.definition import TIMEOUT
from services.workflows.messages import STATE
from services.workflows.ports import WorkflowQuery

# Of whoever decides, and of what they say with it.
NAME_LENGTH, COMMENT_LENGTH = 100, 1_000
_LIMIT = 50
CHANGEABLE: dict[str, TypeAdapter[Any]] = {
    "name": TypeAdapter(Name),
    "description": TypeAdapter(Description | None),
    "webhook_url": TypeAdapter(WebhookUrl | None),
}


def workflow_id_of(request: Any) -> str:
    """As it is stored: UUIDs name the same in any case (RFC 9562)."""
    return str(request.workflow_id).lower()


def inputs_of(request: Any) -> str | None:
    """Where the pictures are that came with it."""
    folder: str = request.inputs_folder
    check_field("inputs_folder", not folder or is_inputs_folder(folder), "is no folder of a request's pictures")
    return folder or None


def signature_of(field: str, name: str) -> str:
    """Who decides, as it is kept. Raises InvalidRequest for nobody, and for who signs as the clock does."""
    signed = name.strip()
    check_field(field, 1 <= len(signed) <= NAME_LENGTH, f"must have 1 to {NAME_LENGTH} characters")
    check_field(field, signed.casefold() != TIMEOUT, f"must not be {TIMEOUT}, which says that nobody decided in time")
    return signed


def read_list(request: pb.ListWorkflowsRequest, owner: str) -> tuple[WorkflowQuery, ListWindow]:
    """What a list shows, and which page of it. Raises InvalidRequest: all that is wrong."""
    refusals, state = ViolationCollector(), None
    if not request.HasField("limit"):
        request.limit = _LIMIT
    with refusals:
        window = read_window(request, f"{owner}/")
    with refusals:
        check_field("status", not request.HasField("status") or request.status in STATE, "is none of workflows")
        state = STATE[request.status] if request.HasField("status") else None
    refusals.told()
    wanted = WorkflowQuery(
        owner,
        state,
        request.origin_instance if request.HasField("origin_instance") else None,
        request.origin_tenant_id if request.HasField("origin_tenant_id") else None,
        request.include_deleted,
    )
    return wanted, window


def invalid(error: ValidationError, name: str = "") -> InvalidRequest:
    """`name` is the field, where one value alone was looked at."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    violations = tuple(Violation(name or ".".join(map(str, item["loc"])), item["msg"]) for item in found)
    return InvalidRequest("; ".join(f"{one.field}: {one.description}" for one in violations), violations=violations)
