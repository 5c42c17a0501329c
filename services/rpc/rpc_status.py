"""Errors on the wire: ComputeError to google.rpc.Status and back."""

from __future__ import annotations

import grpc
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from services.common import errors

DOMAIN = "atelier"
# A status travels in the trailers, which peers refuse from 8 KiB on: what callers sent may not fill them.
_MESSAGE_BYTES, _VIOLATIONS_BYTES = 900, 1_800

_CODES: dict[type[errors.ComputeError], int] = {
    errors.PayloadTooLarge: code_pb2.OUT_OF_RANGE,
    errors.InvalidRequest: code_pb2.INVALID_ARGUMENT,
    errors.Unauthenticated: code_pb2.UNAUTHENTICATED,
    errors.PermissionDenied: code_pb2.PERMISSION_DENIED,
    errors.NotFound: code_pb2.NOT_FOUND,
    errors.IllegalTransition: code_pb2.FAILED_PRECONDITION,
    errors.IdempotencyConflict: code_pb2.ALREADY_EXISTS,
    errors.Overloaded: code_pb2.RESOURCE_EXHAUSTED,
    errors.Unavailable: code_pb2.UNAVAILABLE,
    errors.DeadlineExceeded: code_pb2.DEADLINE_EXCEEDED,
    errors.Internal: code_pb2.INTERNAL,
}
_TYPES: dict[int, type[errors.ComputeError]] = {code: kind for kind, code in _CODES.items()}
# Added last: whoever else says RESOURCE_EXHAUSTED is overloaded.
_CODES[errors.OutOfSpace] = code_pb2.RESOURCE_EXHAUSTED
_TYPES[code_pb2.CANCELLED] = errors.DeadlineExceeded


def to_status(error: errors.ComputeError) -> status_pb2.Status:
    """ErrorInfo always; BadRequest (its first violations) and RetryInfo where the error has them."""
    details = [error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)]
    code = next((_CODES[kind] for kind in type(error).__mro__ if kind in _CODES), code_pb2.INTERNAL)
    status = status_pb2.Status(code=code, message=_shortened(error.message, _MESSAGE_BYTES))
    packed = [_pack(detail) for detail in details]
    if error.violations:
        packed.append(_pack(error_details_pb2.BadRequest(field_violations=_first(error.violations))))
    if error.retry_after is not None:
        delay = Duration()
        delay.FromNanoseconds(int(error.retry_after * 1e9))
        packed.append(_pack(error_details_pb2.RetryInfo(retry_delay=delay)))
    status.details.extend(packed)
    return status


def from_status(status: status_pb2.Status) -> errors.ComputeError:
    """The error that `to_status` was given; an unknown code becomes Internal."""
    reason: str | None = None
    violations: tuple[errors.Violation, ...] = ()
    retry_after: float | None = None
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    for detail in status.details:
        if detail.Unpack(info):
            reason = info.reason
        elif detail.Unpack(bad):
            violations = tuple(errors.Violation(item.field, item.description) for item in bad.field_violations)
        elif detail.Unpack(retry):
            retry_after = retry.retry_delay.ToNanoseconds() / 1e9
    kind: type[errors.ComputeError] = _TYPES.get(status.code, errors.Internal)
    if reason in errors.OutOfSpace.reasons:
        kind = errors.OutOfSpace
    elif reason == errors.PreconditionFailed.default_reason:
        kind = errors.PreconditionFailed
    elif reason == errors.UnknownQueue.default_reason:
        kind = errors.UnknownQueue
    return kind(status.message, reason=reason, violations=violations, retry_after=retry_after)


def from_rpc_error(error: grpc.aio.AioRpcError) -> errors.ComputeError:
    """What a failed call means, whether the server or the channel failed it."""
    if (told := told_by_server(error)) is not None:
        return told
    kind: type[errors.ComputeError] = _TYPES.get(error.code().value[0], errors.Internal)
    return kind(error.details() or error.code().name)


def told_by_server(error: grpc.aio.AioRpcError) -> errors.ComputeError | None:
    """None where the channel failed the call, or gRPC itself after the server had answered."""
    try:
        status = rpc_status.from_call(error)
    except ValueError:
        return None
    return None if status is None else from_status(status)


def _first(violations: tuple[errors.Violation, ...]) -> list[error_details_pb2.BadRequest.FieldViolation]:
    """As many as fit, at least one."""
    found: list[error_details_pb2.BadRequest.FieldViolation] = []
    room = _VIOLATIONS_BYTES
    for item in violations:
        field, description = (_shortened(text, _VIOLATIONS_BYTES // 2) for text in item)
        violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=description)
        room -= violation.ByteSize()
        if found and room < 0:
            break
        found.append(violation)
    return found


def _shortened(text: str, limit: int) -> str:
    """At most `limit` bytes of UTF-8."""
    content = text.encode("utf-8", "replace")
    return content.decode() if len(content) <= limit else content[: limit - 3].decode("utf-8", "ignore") + "..."


def _pack(detail: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed
