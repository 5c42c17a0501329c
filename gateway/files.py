"""/files/{token}: what a signed link opens, without a key."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

from compute.storage.v1 import storage_pb2 as pb
from fastapi import APIRouter, Request
from fastapi.responses import Response

from gateway.edge.refusals import READS_A_PICTURE, refused
from gateway.objects import describe_object, serve_object
from gateway.upstream import public_address, upstream_of

ROOT = "/files"
_BYTES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_FOUND: dict[int | str, dict[str, Any]] = {
    200: {"description": "The picture, or whatever else lies there", "content": _BYTES},
    206: {"description": "The asked range", "content": _BYTES},
    304: {"description": "Unchanged"},
}
_REFUSED = refused(*READS_A_PICTURE, "LINK_INVALID", "LINK_EXPIRED", "UNAVAILABLE", "DEADLINE_EXCEEDED")
router = APIRouter(prefix=ROOT, tags=["Storage"])


def link_to(request: Request, token: str) -> str:
    """The whole address."""
    return f"{public_address(request)}{ROOT}/{token}"


@router.get("/{token}", summary="Get File By Link", response_class=Response, responses=_FOUND | _REFUSED)
async def get_file(request: Request, token: str) -> Response:
    """Returns the picture that a signed link opens, whole or a range of it; the link is all that is needed."""
    found = await upstream_of(request).storage.resolve_link(token)
    return await serve_object(request, found.object, tenant=found.tenant, more=_headers(found))


@router.head("/{token}", summary="Check File By Link", response_class=Response, responses=_REFUSED)
async def check_file(request: Request, token: str) -> Response:
    """Tells whether a link still opens something, with the headers of a GET."""
    found = await upstream_of(request).storage.resolve_link(token)
    return describe_object(request, found.object, _headers(found))


def _headers(found: pb.ResolveLinkResponse) -> dict[str, str]:
    """A link is a secret: nobody on the way keeps it, hears of it as a referrer, or finds it by searching."""
    left = max(0, int(found.expires_at.seconds - time.time()))
    headers = {
        "cache-control": f"private, max-age={left}, immutable",
        "referrer-policy": "no-referrer",
        "x-robots-tag": "noindex",
    }
    if found.download_name:
        # RFC 6266, spelt as RFC 8187 has it
        headers["content-disposition"] = f"attachment; filename*=UTF-8''{quote(found.download_name, safe='')}"
    return headers
