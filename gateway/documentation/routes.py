"""/docs, /openapi.json and /asyncapi.json, without a key and without anything from elsewhere."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from gateway.documentation.asyncapi import data_schema, document
from gateway.documentation.reference import render
from gateway.edge.paths import prefix
from gateway.upstream import upstream_of
from services.common.errors import NotFound
from services.messaging.event_schemas import PATH, schemas_at

router = APIRouter(include_in_schema=False)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'"


@router.get("/openapi.json")
async def openapi_document(request: Request) -> Response:
    return Response(orjson.dumps(_placed(request)), media_type="application/json")


@router.get("/asyncapi.json")
async def asyncapi_document() -> Response:
    return Response(orjson.dumps(document()), media_type="application/json")


@router.get(PATH + "{name}")
async def event_schema(request: Request, name: str) -> Response:
    """What a CloudEvent's `dataschema` leads to."""
    found = data_schema(f"{schemas_at(upstream_of(request).settings.public_url)}{name}", name)
    if found is None:
        raise NotFound("no event has this schema", reason="ROUTE_NOT_FOUND")
    return Response(orjson.dumps(found), media_type="application/schema+json")


@router.get("/")
async def start(request: Request) -> Response:
    return RedirectResponse(f"{prefix(request.scope)}/docs")


@router.get("/docs")
async def reference(request: Request) -> Response:
    headers = {"content-security-policy": _POLICY, "x-content-type-options": "nosniff"}
    return HTMLResponse(render(_placed(request), _host(request)), headers=headers)


def _host(request: Request) -> str:
    """As the reader named it; without a name, in HTTP/1.0, it is the address the request came to."""
    return f"{request.url.scheme}://{request.url.netloc}"


def _placed(request: Request) -> dict[str, Any]:
    """The document, with where the routes are behind a proxy."""
    place = prefix(request.scope)
    document: dict[str, Any] = request.app.openapi()
    return document | {"servers": [{"url": place}]} if place else document
