"""Errors on HTTP: statuses and headers. Each surface spells them its own way, if no other as RFC 9457 problems."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Any, NamedTuple, Protocol

import orjson
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.types import Scope

from gateway.edge.paths import asked_path
from services.common import errors

PROBLEM_TYPE = "application/problem+json"
_REASONS = {404: "ROUTE_NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}
_RETRYABLE = (429, 503)


class UnsupportedMediaType(errors.InvalidRequest):
    """The body is not of the type this route takes."""

    default_reason = "CONTENT_TYPE_UNSUPPORTED"


class UnsupportedCoding(errors.InvalidRequest):
    """The body is packed."""

    default_reason = "CONTENT_CODING_UNSUPPORTED"


class RangeNotSatisfiable(errors.InvalidRequest):
    """Nothing of the asked range exists; `size` is what there is."""

    default_reason = "RANGE_NOT_SATISFIABLE"

    def __init__(self, size: int) -> None:
        super().__init__(f"the picture has {size} bytes")
        self.size = size


class RequestTimeout(errors.InvalidRequest):
    """It came too slowly, or stopped coming."""

    default_reason = "REQUEST_TIMEOUT"


class HeadTooLarge(errors.InvalidRequest):
    """Request line and headers."""

    default_reason = "HEAD_TOO_LARGE"


class TargetTooLong(errors.InvalidRequest):
    """Path and query."""

    default_reason = "TARGET_TOO_LONG"


class UnknownTransferCoding(errors.InvalidRequest):
    """The message is packed on its way."""

    default_reason = "TRANSFER_CODING_UNSUPPORTED"


class UnknownVersion(errors.InvalidRequest):
    """Another major version of HTTP."""

    default_reason = "HTTP_VERSION_UNSUPPORTED"


class ValidationError(BaseModel):
    """One validation error"""

    loc: list[str | int] = Field(description="Place of the error in the request")
    msg: str = Field(description="Error text")
    type: str = Field(description="Error type")


class HTTPValidationError(BaseModel):
    """Body of a validation error"""

    detail: list[ValidationError] = Field(description="Validation errors")


class ViolationItem(BaseModel):
    """One field that is wrong, and why"""

    field: str
    description: str


class Problem(BaseModel):
    """RFC 9457. `reason` is stable and meant for programs; `detail` is for people."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    reason: str
    request_id: str
    violations: list[ViolationItem] = []


_STATUS: tuple[tuple[type[errors.ComputeError], int], ...] = (
    (RequestTimeout, 408),
    (TargetTooLong, 414),
    (UnsupportedMediaType, 415),
    (UnsupportedCoding, 415),
    (RangeNotSatisfiable, 416),
    (HeadTooLarge, 431),
    (UnknownTransferCoding, 501),
    (UnknownVersion, 505),
    (errors.PayloadTooLarge, 413),
    (errors.UnknownQueue, 422),
    (errors.InvalidRequest, 400),
    (errors.Unauthenticated, 401),
    (errors.PermissionDenied, 403),
    (errors.NotFound, 404),
    (errors.PreconditionFailed, 412),
    (errors.IllegalTransition, 409),
    (errors.IdempotencyConflict, 422),
    (errors.Overloaded, 429),
    (errors.OutOfSpace, 507),
    (errors.Unavailable, 503),
    (errors.DeadlineExceeded, 504),
)


class ErrorAnswer(NamedTuple):
    """What an answer says of an error; `instance` is the path as it was asked for."""

    status: int
    reason: str
    detail: str
    violations: tuple[errors.Violation, ...]
    instance: str
    request_id: str


class ErrorRenderer(Protocol):
    """How a surface spells errors."""

    media_type: str

    def render(self, failure: ErrorAnswer) -> dict[str, Any]:
        """The JSON of an answer."""
        ...

    def render_invalid(self, error: RequestValidationError) -> tuple[str, dict[str, Any]]:
        """Media type and JSON of a 422: the query, the path or the body breaks its schema."""
        ...


class Problems:
    """RFC 9457, and the contract's HTTPValidationError for 422."""

    media_type = PROBLEM_TYPE

    def render(self, failure: ErrorAnswer) -> dict[str, Any]:
        body: dict[str, Any] = {
            "type": f"urn:atelier:problem:{failure.reason.lower().replace('_', '-')}",
            "title": HTTPStatus(failure.status).phrase,
            "status": failure.status,
            "detail": failure.detail,
            "instance": failure.instance,
            "reason": failure.reason,
            "request_id": failure.request_id,
        }
        if failure.violations:
            body["violations"] = [{"field": item.field, "description": item.description} for item in failure.violations]
        return body

    def render_invalid(self, error: RequestValidationError) -> tuple[str, dict[str, Any]]:
        return "application/json", validation_body(error)


PROBLEMS = Problems()


def problem(request: Request, error: errors.ComputeError) -> Response:
    status = status_of(error)
    headers = {}
    if status == 401:
        missing = error.reason == "KEY_MISSING"
        headers["www-authenticate"] = 'Bearer realm="atelier"' + ("" if missing else ', error="invalid_token"')
    if status == 408:
        headers["connection"] = "close"
    if isinstance(error, UnsupportedCoding):
        headers["accept-encoding"] = "identity"
    if status in _RETRYABLE or error.retry_after is not None:
        headers["retry-after"] = str(retry_seconds(error))
    if isinstance(error, RangeNotSatisfiable):
        headers["content-range"] = f"bytes */{error.size}"
    return _answer(request, _failure(error, request.scope), headers)


def refusal(error: errors.ComputeError, scope: Scope, request_id: str) -> tuple[str, bytes]:
    """Media type and body, as the surface that was asked spells errors."""
    renderer = _renderer(scope)
    return renderer.media_type, orjson.dumps(renderer.render(_failure(error, scope, request_id)))


def retry_seconds(error: errors.ComputeError) -> int:
    return max(1, math.ceil(error.retry_after or 1))


def status_of(error: errors.ComputeError) -> int:
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def problem_body(error: errors.ComputeError, *, instance: str, request_id: str) -> dict[str, Any]:
    found = ErrorAnswer(status_of(error), error.reason, error.message, error.violations, instance, request_id)
    return PROBLEMS.render(found)


def validation_body(error: RequestValidationError) -> dict[str, Any]:
    """Of a 422, in the contract's shape, without the values that were sent."""
    return {"detail": [{"loc": item["loc"], "msg": item["msg"], "type": item["type"]} for item in error.errors()]}


async def on_http_error(request: Request, error: Exception) -> Response:
    """Unknown routes and methods."""
    assert isinstance(error, HTTPException)
    status = error.status_code
    reason = _REASONS.get(status, HTTPStatus(status).name)
    said = {404: "there is no such route", 405: f"{request.method} is not possible here"}.get(status, str(error.detail))
    found = ErrorAnswer(status, reason, said, (), asked_path(request.scope), request.scope.get("request_id", ""))
    return _answer(request, found, dict(error.headers or {}))


async def on_validation_error(request: Request, error: Exception) -> Response:
    """Query and path parameters; bodies are validated by the routes themselves."""
    assert isinstance(error, RequestValidationError)
    media_type, body = _renderer(request.scope).render_invalid(error)
    return Response(orjson.dumps(body), 422, media_type=media_type)


def _answer(request: Request, failure: ErrorAnswer, headers: dict[str, str]) -> Response:
    renderer = _renderer(request.scope)
    return Response(orjson.dumps(renderer.render(failure)), failure.status, headers, media_type=renderer.media_type)


def _failure(error: errors.ComputeError, scope: Scope, request_id: str = "") -> ErrorAnswer:
    named = request_id or scope.get("request_id", "")
    return ErrorAnswer(status_of(error), error.reason, error.message, error.violations, asked_path(scope), named)


def _renderer(scope: Scope) -> ErrorRenderer:
    """That of the surface whose paths begin as this one."""
    found = getattr(scope["app"].state, "error_renderers", ()) if "app" in scope else ()
    return next((renderer for prefix, renderer in found if scope["path"].startswith(prefix)), PROBLEMS)
