"""/api/v1/storage/images: stored pictures of the caller's tenant."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

import orjson
from compute.storage.v1 import storage_pb2 as pb
from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from gateway.edge.paging import SAID_ONCE, next_link
from gateway.edge.paths import prefix
from gateway.edge.ranges import ObjectVersion, check_match, is_unchanged, precondition_of, wanted_part
from gateway.edge.refusals import CHANGES_A_PICTURE, OF_A_PICTURE, READS_A_PICTURE, STORES_A_PICTURE, refused
from gateway.edge.uploads import file_chunks
from gateway.surfaces.compute.documents import (
    CONTENT,
    DELETE_HEADERS,
    HEAD_HEADERS,
    READ_HEADERS,
    SAVE_HEADERS,
    linked,
    merged,
)
from gateway.upstream import caller_of, upstream_of
from services.common.errors import Unavailable
from services.common.scopes import TO_CHANGE, TO_READ, needs

ROOT = "/api/v1/storage/images"
router = APIRouter(prefix=ROOT, tags=["Storage"])
# Whatever lies in storage, a browser shows it as a picture or not at all.
_SAFE = {"x-content-type-options": "nosniff", "content-security-policy": "default-src 'none'; sandbox"}
_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {"$ref": "#/components/schemas/Body_save_image_api_v1_storage_images__path__post"}
            }
        },
    }
}
_BYTES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The picture, or whatever else lies there", "content": CONTENT},
    206: {"description": "The asked range", "content": CONTENT},
    307: {"description": "Fetch it from the CDN"},
}
_UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "Unchanged"}}


class Image(BaseModel):
    """A stored picture; sizes in bytes and pixels."""

    path: str
    size: int
    sha256: str
    etag: str
    content_type: str
    width: int | None
    height: int | None
    created_at: datetime
    url: str = Field(description="Where to get it")


class ImageList(BaseModel):
    """A page of stored pictures in path order."""

    images: list[Image]
    next_start_after: str | None = Field(description="Give it as start_after for the next page; null on the last")


class DeletedImage(BaseModel):
    """What was removed."""

    path: str


class ImagePage(BaseModel):
    """Which pictures a list shows; an unknown parameter is refused."""

    model_config = ConfigDict(extra="forbid")

    prefix: str = Field("", max_length=512, description="Only paths that start so")
    limit: int = Field(100, ge=1, le=1000, description="Most items returned")
    start_after: str = Field("", max_length=512, description="Only paths after this one")


@router.get(
    "",
    summary="List Images",
    dependencies=SAID_ONCE,
    response_model=ImageList,
    responses=linked(refused("STORAGE_UNAVAILABLE", "PATH_INVALID")),
)
@needs(TO_READ)
async def list_images(request: Request, page: Annotated[ImagePage, Query()]) -> Response:
    """Lists stored images."""
    objects, truncated = await upstream_of(request).storage.list(
        tenant=caller_of(request).tenant, prefix=page.prefix, limit=page.limit, start_after=page.start_after
    )
    last = objects[-1].path if truncated and objects else None
    response = _json({"images": [_describe(request, info) for info in objects], "next_start_after": last})
    if last is not None:
        response.headers.update(next_link(request, start_after=last))
    return response


@router.head(
    "/{path:path}",
    summary="Check Image Exists",
    response_class=Response,
    responses=_UNCHANGED | refused(*OF_A_PICTURE, "PRECONDITION_FAILED"),
    openapi_extra=HEAD_HEADERS,
)
@needs(TO_READ)
async def check_image_exists(request: Request, path: str) -> Response:
    """Tells whether an image exists, with the headers of a GET, under the same conditions."""
    info = await upstream_of(request).storage.head(path, tenant=caller_of(request).tenant)
    if is_unchanged(request, ObjectVersion.of(info)):
        return _unchanged(info)
    return Response(status_code=200, headers=_headers(info) | {"content-length": str(info.size)})


@router.get(
    "/{path:path}",
    summary="Get Image",
    response_class=Response,
    responses=_BYTES | _UNCHANGED | refused(*READS_A_PICTURE),
    openapi_extra=READ_HEADERS,
)
@needs(TO_READ)
async def get_image(request: Request, path: str) -> Response:
    """Returns an image by path, whole or a range of it; redirects to the CDN where there is one."""
    storage, tenant = upstream_of(request).storage, caller_of(request).tenant
    info = await storage.head(path, tenant=tenant)
    version = ObjectVersion.of(info)
    if is_unchanged(request, version):
        return _unchanged(info)
    if info.cdn_url:
        return RedirectResponse(info.cdn_url, 307, headers={"etag": info.etag, "cache-control": "private"})
    part = wanted_part(request, info.size, version)
    offset, length = part or (0, 0)
    found, chunks = await storage.download(path, tenant=tenant, offset=offset, length=length)
    if part and found.etag != info.etag:
        raise Unavailable("the picture is being replaced", reason="OBJECT_CHANGED", retry_after=1.0)
    check_match(request, ObjectVersion.of(found))
    # The whole of it may have been replaced meanwhile: what is sent is described.
    headers = _headers(found) | {"content-length": str(part.length if part else found.size)}
    if part:
        headers["content-range"] = part.content_range(found.size)
    return StreamingResponse(chunks, 206 if part else 200, headers, media_type=found.content_type)


@router.post(
    "/{path:path}",
    summary="Save Image",
    response_model=Image,
    responses=refused(*STORES_A_PICTURE, *CHANGES_A_PICTURE),
    openapi_extra=merged(_FORM, SAVE_HEADERS),
)
@needs(TO_CHANGE)
async def save_image(request: Request, path: str) -> Response:
    """Stores an image, sent as the field `file` of a form. The answer's path is the one to use.

    `If-None-Match: *` stores it only where there is none, `If-Match` only in place of that very one (else 412). The
    result of a task stays as it was made (409 RESULT_IMMUTABLE).
    """
    precondition, tenant = precondition_of(request), caller_of(request).tenant
    info = await upstream_of(request).storage.upload(
        path, file_chunks(request), tenant=tenant, must_be_image=True, precondition=precondition
    )
    return _json(_describe(request, info))


@router.delete(
    "/{path:path}",
    summary="Delete Image",
    response_model=DeletedImage,
    responses=refused(*OF_A_PICTURE, *CHANGES_A_PICTURE),
    openapi_extra=DELETE_HEADERS,
)
@needs(TO_CHANGE)
async def delete_image(request: Request, path: str) -> Response:
    """Removes an image from storage, with `If-Match` only that very one (else 412).

    The result of a task goes with its task, or with its clean-up (409 RESULT_IMMUTABLE).
    """
    precondition = precondition_of(request)
    await upstream_of(request).storage.delete(path, tenant=caller_of(request).tenant, precondition=precondition)
    return _json({"path": path})


def _describe(request: Request, info: pb.ObjectInfo) -> dict[str, Any]:
    return {
        "path": info.path,
        "size": info.size,
        "sha256": info.sha256,
        "etag": info.etag,
        "content_type": info.content_type,
        "width": info.width or None,
        "height": info.height or None,
        "created_at": info.created_at.ToDatetime(UTC),
        "url": info.cdn_url or f"{prefix(request.scope)}{ROOT}/{quote(info.path)}",
    }


def _unchanged(info: pb.ObjectInfo) -> Response:
    headers = _headers(info)
    del headers["content-type"]
    return Response(status_code=304, headers=headers)


def _headers(info: pb.ObjectInfo) -> dict[str, str]:
    return {
        "etag": info.etag,
        "content-type": info.content_type,
        "last-modified": ObjectVersion.of(info).last_modified,
        "accept-ranges": "bytes",
        "cache-control": "private, no-cache",
        **_SAFE,
    }


def _json(value: Any) -> Response:
    return Response(orjson.dumps(value, option=orjson.OPT_UTC_Z), media_type="application/json")
