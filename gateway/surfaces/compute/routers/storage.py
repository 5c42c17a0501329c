"""/api/v1/storage/images: stored pictures of the caller's tenant."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

import orjson
from compute.storage.v1 import storage_pb2 as pb
from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from gateway.edge.paging import SAID_ONCE, next_link
from gateway.edge.paths import prefix
from gateway.edge.ranges import ObjectVersion, is_unchanged, precondition_of
from gateway.edge.refusals import CHANGES_A_PICTURE, OF_A_PICTURE, READS_A_PICTURE, STORES_A_PICTURE, refused
from gateway.edge.uploads import file_chunks
from gateway.objects import describe_object, serve_object
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
from services.common.scopes import TO_CHANGE, TO_READ, needs

ROOT = "/api/v1/storage/images"
router = APIRouter(prefix=ROOT, tags=["Storage"])
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
    return describe_object(request, info)


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
    if info.cdn_url and not is_unchanged(request, ObjectVersion.of(info)):
        return RedirectResponse(info.cdn_url, 307, headers={"etag": info.etag, "cache-control": "private"})
    return await serve_object(request, info, tenant=tenant)


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


def _json(value: Any) -> Response:
    return Response(orjson.dumps(value, option=orjson.OPT_UTC_Z), media_type="application/json")
