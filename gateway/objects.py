"""Stored objects as answers: whole, a range, or unchanged (RFC 9110)."""

from __future__ import annotations

from collections.abc import Mapping

from compute.storage.v1 import storage_pb2 as pb
from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from gateway.edge.ranges import ObjectVersion, check_match, is_unchanged, wanted_part
from gateway.upstream import upstream_of
from services.common.errors import Unavailable

# Whatever lies in storage, a browser shows it as a picture or not at all.
_SAFE = {"x-content-type-options": "nosniff", "content-security-policy": "default-src 'none'; sandbox"}
_NONE: Mapping[str, str] = {}


def describe_object(request: Request, info: pb.ObjectInfo, more: Mapping[str, str] = _NONE) -> Response:
    """The answer to a HEAD, with `more` headers. Raises PreconditionFailed."""
    if is_unchanged(request, ObjectVersion.of(info)):
        return _unchanged(info, more)
    return Response(status_code=200, headers=_headers(info, more) | {"content-length": str(info.size)})


async def serve_object(
    request: Request, info: pb.ObjectInfo, *, tenant: str, more: Mapping[str, str] = _NONE
) -> Response:
    """The answer to a GET, with `more` headers. Raises PreconditionFailed, RangeNotSatisfiable, Unavailable."""
    version = ObjectVersion.of(info)
    if is_unchanged(request, version):
        return _unchanged(info, more)
    part = wanted_part(request, info.size, version)
    offset, length = part or (0, 0)
    found, chunks = await upstream_of(request).storage.download(info.path, tenant=tenant, offset=offset, length=length)
    if part and found.etag != info.etag:
        raise Unavailable("the picture is being replaced", reason="OBJECT_CHANGED", retry_after=1.0)
    check_match(request, ObjectVersion.of(found))
    # The whole of it may have been replaced meanwhile: what is sent is described.
    headers = _headers(found, more) | {"content-length": str(part.length if part else found.size)}
    if part:
        headers["content-range"] = part.content_range(found.size)
    return StreamingResponse(chunks, 206 if part else 200, headers, media_type=found.content_type)


def _unchanged(info: pb.ObjectInfo, more: Mapping[str, str]) -> Response:
    headers = _headers(info, more)
    del headers["content-type"]
    return Response(status_code=304, headers=headers)


def _headers(info: pb.ObjectInfo, more: Mapping[str, str]) -> dict[str, str]:
    return {
        "etag": info.etag,
        "content-type": info.content_type,
        "last-modified": ObjectVersion.of(info).last_modified,
        "accept-ranges": "bytes",
        "cache-control": "private, no-cache",
        **_SAFE,
        **more,
    }
