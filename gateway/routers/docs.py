"""/docs, /openapi.json and /asyncapi.json, without a key and without anything from elsewhere."""

from __future__ import annotations

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from gateway.asyncapi import document
from gateway.reference import render

router = APIRouter(include_in_schema=False)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'"


@router.get("/openapi.json")
async def openapi_document(request: Request) -> Response:
    return Response(orjson.dumps(request.app.openapi()), media_type="application/json")


@router.get("/asyncapi.json")
async def asyncapi_document() -> Response:
    return Response(orjson.dumps(document()), media_type="application/json")


@router.get("/")
async def start() -> Response:
    return RedirectResponse("/docs")


@router.get("/docs")
async def reference(request: Request) -> Response:
    headers = {"content-security-policy": _POLICY, "x-content-type-options": "nosniff"}
    return HTMLResponse(render(request.app.openapi()), headers=headers)
