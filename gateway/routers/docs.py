"""/docs, /openapi.json and /asyncapi.json, without a key and without anything from elsewhere."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from gateway.asyncapi import document
from gateway.reference import render

router = APIRouter(include_in_schema=False)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'"


@router.get("/openapi.json")
async def openapi_document(request: Request) -> Response:
    return Response(orjson.dumps(_placed(request)), media_type="application/json")


@router.get("/asyncapi.json")
async def asyncapi_document() -> Response:
    return Response(orjson.dumps(document()), media_type="application/json")


@router.get("/")
async def start(request: Request) -> Response:
    return RedirectResponse(f"{request.scope['prefix']}/docs")


@router.get("/docs")
async def reference(request: Request) -> Response:
    headers = {"content-security-policy": _POLICY, "x-content-type-options": "nosniff"}
    return HTMLResponse(render(_placed(request), _host(request)), headers=headers)


def _host(request: Request) -> str:
    """As the reader named it; without a name, in HTTP/1.0, it is the address the request came to."""
    return f"{request.url.scheme}://{request.url.netloc}"


def _placed(request: Request) -> dict[str, Any]:
    """The document, with where the routes are behind a proxy."""
    prefix = request.scope["prefix"]
    document: dict[str, Any] = request.app.openapi()
    return document | {"servers": [{"url": prefix}]} if prefix else document
