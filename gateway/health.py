"""/health, without a key."""

from __future__ import annotations

from typing import cast

from fastapi import APIRouter, Request
from fastapi.responses import Response

from gateway.probes import Health, HealthProbe

router = APIRouter()


@router.get("/health", summary="Health Check", response_model=Health, responses={503: {"model": Health}})
async def health_check(request: Request) -> Response:
    """Says for every dependency whether it answers; 503 only when no task can be accepted.

    Without workers or models, storage or NATS it is `degraded`: tasks are accepted, and wait where they must.
    """
    health = await cast("HealthProbe", request.app.state.health).ask()
    status = 503 if health.status == "down" else 200
    headers = {} if status == 200 else {"retry-after": "1"}
    return Response(health.model_dump_json(), status, headers, media_type="application/json")
