"""/health, without a key."""

from __future__ import annotations

from typing import cast

from fastapi import APIRouter, Request
from fastapi.responses import Response

from gateway.probes import Health, HealthProbe

router = APIRouter()


@router.get("/health", summary="Health Check", response_model=Health, responses={503: {"model": Health}})
async def health_check(request: Request) -> Response:
    """Says for every dependency whether it answers; 503 when one does not."""
    health = await cast("HealthProbe", request.app.state.health).ask()
    status = 200 if health.status == "up" else 503
    headers = {} if status == 200 else {"retry-after": "1"}
    return Response(health.model_dump_json(), status, headers, media_type="application/json")
