"""The reasons a request is refused for, what each means, and how the OpenAPI document tells them for each route."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from gateway.edge.errors import PROBLEM_TYPE

Responses = dict[int | str, dict[str, Any]]
REASONS: dict[int, dict[str, str]] = {
    400: {
        "INVALID_REQUEST": "`violations` says which fields are wrong",
        "REQUEST_MALFORMED": "not HTTP/1.1",
        "HOST_MISSING": "the request has no Host header",
        "HOST_REPEATED": "the request has several Host headers",
        "FIELD_READ_ONLY": "only priority and config can be changed",
        "PAGE_TOKEN_INVALID": "the cursor is none of this list's, or was made under another filter",
        "IDEMPOTENCY_KEY_INVALID": "Idempotency-Key is not 1 to 255 visible ASCII characters",
        "LAST_EVENT_ID_INVALID": "Last-Event-ID is not an id of this stream",
        "CONDITION_INVALID": "If-Match and If-None-Match take * or ETags in quotes",
        "FORM_INVALID": "the multipart form cannot be read",
        "TARGET_INVALID": "the path or the query is not UTF-8",
        "PATH_INVALID": "no path in storage is written so",
        "LINK_NAME_INVALID": "no file can be saved under this name",
        "PATH_CONFLICT": "a part of the path is an object, or the object is a folder",
        "IMAGE_INVALID": "the picture cannot be decoded",
        "BASE64_INVALID": "the picture's base64 cannot be read",
        "URL_NOT_ALLOWED": "an address that is not fetched",
        "WORKFLOW_INVALID": "the definition cannot run; `violations` says why, by step and field",
    },
    401: {"KEY_MISSING": "no API key was sent", "KEY_UNKNOWN": "the API key is unknown or revoked"},
    403: {"SCOPE_MISSING": "the API key has not the scope that this needs"},
    404: {
        "ROUTE_NOT_FOUND": "no route has this path",
        "TASK_NOT_FOUND": "the tenant has no such task",
        "WORKFLOW_NOT_FOUND": "the tenant has no such workflow",
        "STEP_NOT_FOUND": "the workflow has no such step",
        "NOT_FOUND": "nothing is stored under this path",
        "LINK_INVALID": "this deployment has signed no such link",
        "LINK_EXPIRED": "the link has expired",
        "DELIVERY_NOT_FOUND": "the tenant has no such delivery",
        "ENDPOINT_NOT_DISABLED": "this address is being called",
    },
    405: {"METHOD_NOT_ALLOWED": "not with this method"},
    408: {"REQUEST_TIMEOUT": "the request came too slowly"},
    409: {
        "ILLEGAL_TRANSITION": "not in the state the task is in",
        "TASK_LIVE": "the task waits or runs",
        "TASK_NOT_PENDING": "the task has begun and can no longer be changed",
        "TASK_CLEANED": "the files of the task are gone",
        "WORKFLOW_NOT_PENDING": "only a PENDING workflow can be started",
        "WORKFLOW_NOT_RUNNING": "only a RUNNING workflow can be paused",
        "WORKFLOW_NOT_RESUMABLE": "only a FAILED or PAUSED workflow can be resumed",
        "WORKFLOW_NOT_CANCELLABLE": "the workflow has ended",
        "WORKFLOW_NOT_ENDED": "the workflow was resumed while it was being cleaned up",
        "STEP_NOT_WAITING": "the step waits for no decision, or one was made",
        "SLOTS_NOT_FAILED": "no slot of the step has failed",
        "LINK_USED": "the step no longer waits: it was decided, or its workflow has ended",
        "WORKFLOW_CLEANED": "the workflow was cleaned up",
        "RESULT_IMMUTABLE": "the results of a task stay as they were made",
        "SECRET_ROTATED": "somebody else has just rotated the secret",
        "DELIVERY_SENDING": "the delivery is being sent",
        "DELIVERY_STATE": "not in the state the delivery is in",
        "TASK_DELETED": "the task was deleted: nothing more is called for it",
    },
    412: {"PRECONDITION_FAILED": "the condition of the request does not hold"},
    413: {
        "BODY_TOO_LARGE": "more bytes than this route takes",
        "BODY_TOO_COMPLEX": "more values than a body may have",
        "IMAGE_TOO_LARGE": "more bytes or pixels than a picture may have",
        "OBJECT_TOO_LARGE": "more bytes than storage takes",
    },
    414: {"TARGET_TOO_LONG": "the path and the query are too long"},
    415: {
        "CONTENT_TYPE_UNSUPPORTED": "the body is of another content type",
        "CONTENT_CODING_UNSUPPORTED": "the body is packed",
    },
    416: {"RANGE_NOT_SATISFIABLE": "nothing of the asked range exists"},
    422: {
        "IDEMPOTENCY_KEY_REUSED": "the key was used with another body",
        "IDEMPOTENCY_KEY_SPENT": "what this key made was deleted",
        "QUEUE_UNKNOWN": "no worker takes tasks from this queue; `violations` names those that are served",
    },
    429: {
        "OVERLOADED": "too much waits; Retry-After says when to try again",
        "TOO_MANY_CONNECTIONS": "this address has too many connections open",
        "STORE_BUSY": "too many writes wait",
        "CONTENTION": "others change the same thing too fast",
    },
    431: {"HEAD_TOO_LARGE": "the request line and the headers are too large"},
    500: {
        "INTERNAL": "a fault of ours",
        "INTERNAL_TOKEN_REFUSED": "a fault of this deployment's settings",
        "TASK_UNREADABLE": "a newer version stored it",
        "DELIVERY_UNREADABLE": "a newer version stored it",
        "WORKFLOW_UNREADABLE": "a newer version stored it",
    },
    501: {"TRANSFER_CODING_UNSUPPORTED": "Transfer-Encoding is not chunked"},
    503: {
        "UNAVAILABLE": "a service does not answer",
        "TOO_MANY_CONNECTIONS": "too many connections are open",
        "SHUTTING_DOWN": "a service is being restarted",
        "STORE_UNREACHABLE": "the database does not answer",
        "STORE_REFUSED": "the database refused the operation",
        "STORE_FAILED": "the database failed",
        "STORAGE_UNAVAILABLE": "the object store does not answer",
        "OBJECT_CHANGED": "the picture is being replaced",
        "OBJECT_REPLACED": "the picture was replaced while it was read",
        "OBJECT_CONTENDED": "others change the picture too fast",
        "UPLOAD_CUT_OFF": "storage ended the upload early",
        "DECODER_UNAVAILABLE": "pictures cannot be checked just now",
        "EVENTS_UNAVAILABLE": "the events cannot be read just now",
        "BUS_UNREACHABLE": "NATS does not answer",
    },
    504: {"DEADLINE_EXCEEDED": "it took too long", "UPLOAD_STALLED": "no more of the upload came"},
    507: {"STORAGE_FULL": "the object store is full", "STORE_FULL": "the database's disk is full"},
    505: {"HTTP_VERSION_UNSUPPORTED": "neither HTTP/1.0 nor HTTP/1.1"},
}

ANYWHERE = (
    *("INTERNAL", "REQUEST_MALFORMED", "HOST_MISSING", "HOST_REPEATED", "HEAD_TOO_LARGE", "REQUEST_TIMEOUT"),
    *("TOO_MANY_CONNECTIONS", "TARGET_INVALID", "TARGET_TOO_LONG"),
    *("TRANSFER_CODING_UNSUPPORTED", "HTTP_VERSION_UNSUPPORTED"),
)
WITH_KEY = (
    *("KEY_MISSING", "KEY_UNKNOWN", "SCOPE_MISSING", "INVALID_REQUEST", "BODY_TOO_LARGE", "OVERLOADED"),
    *("UNAVAILABLE", "SHUTTING_DOWN", "DEADLINE_EXCEEDED", "INTERNAL_TOKEN_REFUSED"),
    *("STORE_UNREACHABLE", "STORE_REFUSED", "STORE_FAILED"),
)
# What a value in a path can turn the path into.
WITH_PATH = ("ROUTE_NOT_FOUND", "METHOD_NOT_ALLOWED")
JSON_BODY = ("BODY_TOO_COMPLEX", "CONTENT_TYPE_UNSUPPORTED", "CONTENT_CODING_UNSUPPORTED")
LISTS = ("PAGE_TOKEN_INVALID",)
OF_A_TASK = ("TASK_NOT_FOUND", "TASK_UNREADABLE")
CHANGES = ("CONTENTION", "STORE_BUSY", "STORE_FULL")
CHANGES_A_TASK = (*OF_A_TASK, *CHANGES, "ILLEGAL_TRANSITION", "TASK_LIVE")
UNDER_A_KEY = ("IDEMPOTENCY_KEY_INVALID", "IDEMPOTENCY_KEY_REUSED", "IDEMPOTENCY_KEY_SPENT")
CREATES_A_TASK = (
    *(*JSON_BODY, *UNDER_A_KEY),
    *("IMAGE_INVALID", "IMAGE_TOO_LARGE", "BASE64_INVALID", "OBJECT_TOO_LARGE", "URL_NOT_ALLOWED"),
    *("STORAGE_UNAVAILABLE", "STORAGE_FULL", "UPLOAD_CUT_OFF", "UPLOAD_STALLED", "DECODER_UNAVAILABLE"),
    *("TASK_UNREADABLE", "STORE_BUSY", "STORE_FULL", "CONTENTION", "QUEUE_UNKNOWN"),
)
OF_A_WORKFLOW = ("WORKFLOW_NOT_FOUND", "WORKFLOW_UNREADABLE")
CHANGES_A_WORKFLOW = (*OF_A_WORKFLOW, *CHANGES)
FORKS_A_WORKFLOW = ("STEP_NOT_FOUND", "WORKFLOW_CLEANED", "SLOTS_NOT_FAILED")
CREATES_A_WORKFLOW = (
    *(*JSON_BODY, *CHANGES, "WORKFLOW_INVALID", "WORKFLOW_UNREADABLE", "URL_NOT_ALLOWED"),
    *("IMAGE_INVALID", "IMAGE_TOO_LARGE", "BASE64_INVALID", "OBJECT_TOO_LARGE"),
    *("STORAGE_UNAVAILABLE", "STORAGE_FULL", "UPLOAD_CUT_OFF", "UPLOAD_STALLED", "DECODER_UNAVAILABLE"),
)
OF_A_PICTURE = ("PATH_INVALID", "NOT_FOUND", "STORAGE_UNAVAILABLE")
CHANGES_A_PICTURE = (
    "CONDITION_INVALID",
    "PRECONDITION_FAILED",
    "RESULT_IMMUTABLE",
    "OBJECT_CONTENDED",
    "PATH_CONFLICT",
)
READS_A_PICTURE = (*OF_A_PICTURE, "PRECONDITION_FAILED", "RANGE_NOT_SATISFIABLE", "OBJECT_CHANGED", "OBJECT_REPLACED")
STORES_A_PICTURE = (
    *("PATH_INVALID", "FORM_INVALID", "IMAGE_INVALID", "CONTENT_TYPE_UNSUPPORTED", "CONTENT_CODING_UNSUPPORTED"),
    *("IMAGE_TOO_LARGE", "OBJECT_TOO_LARGE", "STORAGE_FULL", "STORAGE_UNAVAILABLE"),
    *("UPLOAD_CUT_OFF", "UPLOAD_STALLED", "DECODER_UNAVAILABLE"),
)


def refused(*reasons: str) -> Responses:
    """For a route's `responses`: one problem for each status, with the reasons it may have there."""
    wanted = set(reasons)
    return {status: _problem(status, wanted) for status, known in REASONS.items() if wanted & known.keys()}


def _problem(status: int, wanted: set[str]) -> dict[str, Any]:
    reasons = [reason for reason in REASONS[status] if reason in wanted]
    told = "; ".join(f"`{reason}`: {REASONS[status][reason]}" for reason in reasons)
    content = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": f"{HTTPStatus(status).phrase}. {told}", "content": content, "x-reasons": reasons}
