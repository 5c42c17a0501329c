"""The request headers that control a call: Prefer (RFC 7240) and Idempotency-Key."""

from __future__ import annotations

import re

from fastapi import Request

from gateway.edge.errors import UnsupportedCoding
from services.common.errors import InvalidRequest

_SECONDS = re.compile(r"[0-9]{1,6}")
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def heads(request: Request) -> dict[bytes, bytes]:
    """The headers, the last one of each name, as the middleware left them: Starlette searches through all each time."""
    found: dict[bytes, bytes] | None = request.scope.get("heads")
    return dict(request.scope["headers"]) if found is None else found


def head(request: Request, name: bytes) -> str:
    """Empty where there is none."""
    return heads(request).get(name, b"").decode("latin-1")


def check_unpacked(request: Request) -> None:
    """Raises UnsupportedCoding for a body that is, or says to be, packed (RFC 9110, 8.4)."""
    if b"content-encoding" not in heads(request):
        return
    codings = ",".join(request.headers.getlist("content-encoding")).split(",")
    if any(coding.strip().lower() not in ("", "identity") for coding in codings):
        raise UnsupportedCoding("send the body as it is, without a Content-Encoding")


def wait_seconds(request: Request, longest: float) -> float | None:
    """How long the caller would wait, at most `longest`; None when it would not.

    RFC 7240: what is not known, or cannot be honoured, is ignored; of `wait` said twice the first counts.
    """
    if not head(request, b"prefer"):
        return None
    for preference in ",".join(request.headers.getlist("prefer")).split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() != "wait":
            continue
        seconds = value.strip().strip('"')
        return min(float(seconds), longest) if _SECONDS.fullmatch(seconds) else None
    return None


def applied(seconds: float | None) -> dict[str, str]:
    """The response header that says what was granted."""
    return {} if seconds is None else {"preference-applied": f"wait={seconds:g}", "vary": "Prefer"}


def idempotency_key(request: Request) -> str:
    """Empty without one. Raises InvalidRequest: IDEMPOTENCY_KEY_INVALID."""
    if b"idempotency-key" not in heads(request):
        return ""
    key = head(request, b"idempotency-key")
    if not _KEY.fullmatch(key):
        rule = "Idempotency-Key must be 1 to 255 printable ASCII characters without spaces"
        raise InvalidRequest(rule, reason="IDEMPOTENCY_KEY_INVALID")
    return key
