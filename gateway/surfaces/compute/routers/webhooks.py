"""/api/v1/webhooks: what became of the calls to the addresses that the tenant's tasks name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from compute.webhooks.v1 import webhooks_pb2 as pb
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from gateway.edge.paging import SAID_ONCE, Paged, next_link
from gateway.edge.refusals import CHANGES, JSON_BODY, LISTS, refused
from gateway.surfaces.compute.bodies import read_json, validate
from gateway.surfaces.compute.documents import body_of, linked
from gateway.upstream import upstream_of
from services.common.scopes import TO_ADMINISTER, TO_CHANGE, TO_READ, needs

router = APIRouter(prefix="/api/v1/webhooks", tags=["Webhooks"])
State = Literal["PENDING", "SENDING", "DELIVERED", "SKIPPED", "DEAD"]
_PREFIX = "DELIVERY_STATE_"


class WebhookAttempt(BaseModel):
    """One call."""

    at: datetime
    duration_seconds: float
    http_status: int | None = Field(description="null where nobody answered")
    error: str | None = Field(description="null where it was delivered")


class WebhookDelivery(BaseModel):
    """One event on its way to one address."""

    id: str = Field(description="Also the header webhook-id, the same at every attempt")
    task_id: UUID
    event_id: str
    event_type: str
    url: str
    state: State
    attempts: int = Field(description="Since it was made or last replayed")
    created_at: datetime
    next_attempt_at: datetime | None = Field(description="While PENDING")
    reason: str | None = Field(description="Why it is not delivered")
    history: list[WebhookAttempt] = Field(description="The latest attempts, oldest first")


class WebhookSecret(BaseModel):
    """What signs the tenant's deliveries (Standard Webhooks)."""

    current: str = Field(description="whsec_…")
    previous: str | None = Field(description="Signs too until previous_valid_until")
    previous_valid_until: datetime | None


class WebhookEndpoint(BaseModel):
    """An address that answered 410 Gone"""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=1, max_length=512)


class DeliveryPage(Paged):
    """Which deliveries a list shows; an unknown parameter is refused."""

    state: State | None = Field(None, description="Only this state; DEAD lists the dead letters")
    task_id: str | None = Field(None, max_length=512, description="Only of this task")
    url: str | None = Field(None, max_length=512, description="Only to this address")


_DELIVERIES = TypeAdapter(list[WebhookDelivery])


@router.get(
    "/deliveries",
    summary="List Webhook Deliveries",
    dependencies=SAID_ONCE,
    response_model=list[WebhookDelivery],
    responses=linked(refused(*LISTS)),
)
@needs(TO_READ)
async def list_deliveries(request: Request, page: Annotated[DeliveryPage, Query()]) -> Response:
    """Returns deliveries, newest first, a page at a time: `limit`, then the `Link` to the next one."""
    wanted = pb.ListDeliveriesRequest(
        skip=page.skip, limit=page.limit, page_token=page.cursor or "", task_id=page.task_id, url=page.url
    )
    if page.state is not None:
        wanted.state = pb.DeliveryState.Value(_PREFIX + page.state)  # type: ignore[assignment]  # a known name
    found, more_behind = await upstream_of(request).webhooks.list(request, wanted)
    response = _json(_DELIVERIES.dump_json([_delivery(item) for item in found]))
    if more_behind:
        response.headers.update(next_link(request, cursor=more_behind))
    return response


@router.post(
    "/deliveries/{delivery_id}/replay",
    summary="Replay Webhook Delivery",
    response_model=WebhookDelivery,
    responses=refused(
        *("DELIVERY_NOT_FOUND", "DELIVERY_UNREADABLE", "DELIVERY_SENDING", "DELIVERY_STATE", "TASK_DELETED"), *CHANGES
    ),
)
@needs(TO_CHANGE)
async def replay_delivery(request: Request, delivery_id: str) -> Response:
    """Sends a delivery again, from the first step of its schedule, under the same webhook-id."""
    wanted = pb.ReplayDeliveryRequest(delivery_id=delivery_id)
    answer: pb.ReplayDeliveryResponse = await upstream_of(request).webhooks.call("ReplayDelivery", wanted, request)
    return _json(_delivery(answer.delivery).model_dump_json())


@router.get("/secret", summary="Get Webhook Secret", response_model=WebhookSecret, responses=refused("STORE_FULL"))
@needs(TO_ADMINISTER)
async def get_secret(request: Request) -> Response:
    """Returns what signs the tenant's deliveries; made on first use. Needs the scope `admin`."""
    answer: pb.GetSecretResponse = await upstream_of(request).webhooks.call("GetSecret", pb.GetSecretRequest(), request)
    return _secret(answer.secret)


@router.post(
    "/secret/rotate",
    summary="Rotate Webhook Secret",
    response_model=WebhookSecret,
    responses=refused("SECRET_ROTATED", *CHANGES),
)
@needs(TO_ADMINISTER)
async def rotate_secret(request: Request) -> Response:
    """Makes a new secret; the former one signs too for a day. Needs the scope `admin`."""
    wanted = pb.RotateSecretRequest()
    answer: pb.RotateSecretResponse = await upstream_of(request).webhooks.call("RotateSecret", wanted, request)
    return _secret(answer.secret)


@router.post(
    "/endpoints/enable",
    summary="Enable Webhook Endpoint",
    response_model=WebhookEndpoint,
    responses=refused(*JSON_BODY, "ENDPOINT_NOT_DISABLED", *CHANGES),
    openapi_extra=body_of(WebhookEndpoint, url="https://shop.example/hook"),
)
@needs(TO_ADMINISTER)
async def enable_endpoint(request: Request) -> Response:
    """Calls an address again that had answered 410 Gone. Needs the scope `admin`."""
    wanted: WebhookEndpoint = validate(WebhookEndpoint, await read_json(request))
    await upstream_of(request).webhooks.call("EnableEndpoint", pb.EnableEndpointRequest(url=wanted.url), request)
    return _json(wanted.model_dump_json())


def _delivery(message: pb.Delivery) -> WebhookDelivery:
    state: Any = pb.DeliveryState.Name(message.state).removeprefix(_PREFIX)
    return WebhookDelivery(
        id=message.id,
        task_id=UUID(message.task_id),
        event_id=message.event_id,
        event_type=message.event_type,
        url=message.url,
        state=state,
        attempts=message.attempts,
        created_at=_moment(message.created_at),
        next_attempt_at=_moment(message.next_attempt_at) if message.HasField("next_attempt_at") else None,
        reason=message.reason or None,
        history=[_attempt(item) for item in message.history],
    )


def _attempt(message: pb.DeliveryAttempt) -> WebhookAttempt:
    return WebhookAttempt(
        at=_moment(message.at),
        duration_seconds=message.duration_seconds,
        http_status=message.http_status if message.HasField("http_status") else None,
        error=message.error or None,
    )


def _secret(message: pb.Secret) -> Response:
    former = message.HasField("previous")
    made = WebhookSecret(
        current=message.current,
        previous=message.previous if former else None,
        previous_valid_until=_moment(message.previous_valid_until) if former else None,
    )
    response = _json(made.model_dump_json())
    response.headers["cache-control"] = "no-store"
    return response


def _moment(message: Timestamp) -> datetime:
    return message.ToDatetime(UTC)


def _json(body: str | bytes) -> Response:
    return Response(body, media_type="application/json")
