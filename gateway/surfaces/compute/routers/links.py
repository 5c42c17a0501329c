"""/api/v1/storage/links: addresses that open one picture without a key, for a while."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from gateway.edge.refusals import JSON_BODY, OF_A_PICTURE, refused
from gateway.files import link_to
from gateway.surfaces.compute.bodies import read_json, validate
from gateway.surfaces.compute.documents import body_of
from gateway.upstream import caller_of, upstream_of
from services.common.scopes import TO_CHANGE, needs
from services.common.storage_links import DEFAULT_SECONDS, LONGEST_SECONDS, MAX_NAME

router = APIRouter(prefix="/api/v1/storage/links", tags=["Storage"])


class CreateLink(BaseModel):
    """Which picture a link opens, and for how long."""

    model_config = ConfigDict(extra="forbid")

    path: str = Field(max_length=512, description="Where the picture lies")
    expires_in: int = Field(
        DEFAULT_SECONDS, ge=1, le=LONGEST_SECONDS, description="Seconds the link lives, seven days at most"
    )
    download_name: str = Field(
        "", max_length=MAX_NAME, description="Saved under this name; empty: shown in the browser"
    )


class Link(BaseModel):
    """A link to a picture as it was when the link was made"""

    url: str = Field(description="Opens the picture by GET or HEAD, without a key")
    expires_at: datetime
    path: str
    etag: str = Field(description="Of the very content it opens")


@router.post(
    "",
    summary="Create Link",
    response_model=Link,
    responses=refused(*OF_A_PICTURE, *JSON_BODY, "LINK_NAME_INVALID"),
    openapi_extra=body_of(CreateLink, path="shop/mug.png", expires_in=3600),
)
@needs(TO_CHANGE)
async def create_link(request: Request) -> Response:
    """Makes an address at which whoever has it may fetch this very picture until it expires, without a key.

    A picture that is replaced or deleted is no longer there for its old links. A link cannot be taken back before it
    expires but by deleting its picture, so let it live no longer than it is needed.
    """
    wanted: CreateLink = validate(CreateLink, await read_json(request))
    made = await upstream_of(request).storage.create_link(
        wanted.path, tenant=caller_of(request).tenant, seconds=wanted.expires_in, download_name=wanted.download_name
    )
    link = {
        "url": link_to(request, made.token),
        "expires_at": made.expires_at.ToDatetime(UTC),
        "path": made.object.path,
        "etag": made.object.etag,
    }
    return Response(orjson.dumps(link, option=orjson.OPT_UTC_Z), media_type="application/json")
