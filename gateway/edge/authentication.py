"""Where a request enters: its id, its caller, its size limit, and the problem document for a failure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

import structlog
from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.edge.errors import RequestTimeout, problem
from services.common.errors import (
    ComputeError,
    DeadlineExceeded,
    Internal,
    PayloadTooLarge,
    Unauthenticated,
)
from services.common.identity import Authenticator, Caller
from services.common.ids import new_hex
from services.common.scopes import check_scopes

log = structlog.get_logger()
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._\-]{1,128}")


_LINKS = ("/files/", "/approvals/")


class RequestConnection(Protocol):
    """The connection a request comes over; `late` once its body should have come, `receiving` while it comes."""

    late: bool

    @property
    def receiving(self) -> bool: ...


class AuthMiddleware:
    """ASGI middleware that lets in whoever the route is for; leaves `request_id`, `caller` and `heads` in the scope."""

    def __init__(
        self, app: ASGIApp, needed: Callable[[Scope], frozenset[str] | None], *, max_json: int, max_upload: int
    ) -> None:
        """`needed`: the scopes of which a request needs one, None where it needs no key. `app.state.access` knows the
        keys. Limits in bytes: `max_upload` for forms, `max_json` for the rest.
        """
        self._app = app
        self._needed = needed
        self._max_json = max_json
        self._max_upload = max_upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = scope.get("heads")
        if headers is None:
            headers = scope["heads"] = dict(scope["headers"])
        request_id = _request_id(headers.get(b"x-request-id", b""))
        scope["request_id"] = request_id.decode()
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message.setdefault("headers", []).append((b"x-request-id", request_id))
            await send(message)

        try:
            if (needed := self._needed(scope)) is not None:
                scope["caller"] = await _identify(scope, headers.get(b"authorization", b""), needed)
            await self._app(scope, self._limited(receive, headers, scope.get("connection")), answer)
            return
        except ClientDisconnect:
            return
        except ComputeError as error:
            failure = _as_the_caller_sees_it(error, scope)
        except Exception:
            log.exception(
                "request failed", method=scope["method"], path=_shown(scope["path"]), request_id=scope["request_id"]
            )
            failure = Internal("something went wrong on our side")
        if started:
            # The status is sent already: only a broken connection tells the client that it is not whole.
            raise failure
        await problem(Request(scope), failure)(scope, receive, answer)

    def _limited(self, receive: Receive, headers: dict[bytes, bytes], connection: RequestConnection | None) -> Receive:
        upload = headers.get(b"content-type", b"").lstrip()[:10].lower() == b"multipart/"
        limit = self._max_upload if upload else self._max_json
        announced = headers.get(b"content-length", b"")
        if announced.isdigit() and int(announced) > limit:
            raise _too_large(limit)
        seen = 0

        async def limited() -> Message:
            nonlocal seen
            message = await receive()
            if connection is not None and connection.late:
                raise RequestTimeout("the body of the request came too slowly, or stopped coming")
            seen += len(message.get("body", b""))
            if seen > limit:
                raise _too_large(limit)
            return message

        return limited


def key_of(authorization: bytes) -> str:
    """Empty where there is none."""
    scheme, _, key = authorization.decode("latin-1").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


async def _identify(scope: Scope, authorization: bytes, needed: frozenset[str]) -> Caller:
    key = key_of(authorization)
    if not key:
        raise Unauthenticated("send your API key as 'Authorization: Bearer <key>'", reason="KEY_MISSING")
    authenticator: Authenticator = scope["app"].state.access
    caller = await authenticator.authenticate(key)
    check_scopes(caller, needed)
    return caller


def _as_the_caller_sees_it(error: ComputeError, scope: Scope) -> ComputeError:
    if isinstance(error, Unauthenticated) and "caller" in scope:
        # The caller's key was good: it is the gateway's own token that a service refused.
        log.error("the services refuse this gateway's token", path=scope["path"])
        return Internal("something went wrong on our side", reason="INTERNAL_TOKEN_REFUSED")
    connection: RequestConnection | None = scope.get("connection")
    if isinstance(error, DeadlineExceeded) and connection is not None and connection.receiving:
        return RequestTimeout("the body of the request took too long to come")
    return error


def _shown(path: str) -> str:
    """For logs: a link's token opens a picture, or decides, for whoever reads it."""
    return next((f"{place}…" for place in _LINKS if path.startswith(place)), path)


def _request_id(given: bytes) -> bytes:
    return given if _REQUEST_ID.fullmatch(given) else new_hex().encode()


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"the body is larger than {limit} bytes", reason="BODY_TOO_LARGE")
