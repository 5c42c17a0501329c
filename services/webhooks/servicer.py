"""The webhooks service over gRPC."""

from __future__ import annotations

from typing import Any

from compute.webhooks.v1 import webhooks_pb2 as pb
from compute.webhooks.v1 import webhooks_pb2_grpc as rpc

from services.common.errors import ViolationCollector, check_field
from services.common.identity import check_tenant, current_caller
from services.common.paging import fitting, next_token, read_window
from services.common.scopes import TO_ADMINISTER, TO_CHANGE, TO_READ, needs
from services.rpc.grpc_server import Context
from services.rpc.proto import timestamp
from services.webhooks.domain import SECOND, Delivery, DeliveryAttempt, DeliveryState, SecretPair
from services.webhooks.ports import DeliveryQuery
from services.webhooks.service import WebhookService

_STATES: dict[DeliveryState, Any] = {
    state: pb.DeliveryState.Value(f"DELIVERY_STATE_{state}") for state in DeliveryState
}
_STATE = {number: state for state, number in _STATES.items()}


class WebhookServicer(rpc.WebhookServiceServicer):
    def __init__(self, service: WebhookService) -> None:
        self._service = service

    @needs(TO_READ)
    async def ListDeliveries(self, request: pb.ListDeliveriesRequest, context: Context) -> pb.ListDeliveriesResponse:
        refusals, state = ViolationCollector(), None
        with refusals:
            state = _state(request)
        wanted = DeliveryQuery(
            _any_tenant(),
            state=state,
            task_id=request.task_id.lower() if request.HasField("task_id") else None,
            url=request.url if request.HasField("url") else None,
        )
        with refusals:
            window = read_window(request, wanted.begin)
        refusals.told()
        found = await self._service.find(wanted, window)
        shown = fitting(map(_message, found.items))
        return pb.ListDeliveriesResponse(deliveries=shown, next_page_token=next_token(window, found, len(shown)))

    @needs(TO_CHANGE)
    async def ReplayDelivery(self, request: pb.ReplayDeliveryRequest, context: Context) -> pb.ReplayDeliveryResponse:
        return pb.ReplayDeliveryResponse(
            delivery=_message(await self._service.replay(_any_tenant(), request.delivery_id.lower()))
        )

    @needs(TO_ADMINISTER)
    async def GetSecret(self, request: pb.GetSecretRequest, context: Context) -> pb.GetSecretResponse:
        return pb.GetSecretResponse(secret=_secret(await self._service.secrets(_tenant())))

    @needs(TO_ADMINISTER)
    async def RotateSecret(self, request: pb.RotateSecretRequest, context: Context) -> pb.RotateSecretResponse:
        return pb.RotateSecretResponse(secret=_secret(await self._service.rotate(_tenant())))

    @needs(TO_ADMINISTER)
    async def EnableEndpoint(self, request: pb.EnableEndpointRequest, context: Context) -> pb.EnableEndpointResponse:
        await self._service.enable(_tenant(), request.url)
        return pb.EnableEndpointResponse(url=request.url)


def _state(request: pb.ListDeliveriesRequest) -> DeliveryState | None:
    check_field("state", not request.HasField("state") or request.state in _STATE, "is not a state of deliveries")
    return _STATE[request.state] if request.HasField("state") else None


def _any_tenant() -> str | None:
    """The caller's own; None, which is every tenant, only for a service of ours that names none."""
    caller = current_caller()
    return None if caller.internal and not caller.tenant else check_tenant(caller.tenant)


def _tenant() -> str:
    return check_tenant(current_caller().tenant)


def _message(delivery: Delivery) -> pb.Delivery:
    message = pb.Delivery(
        id=delivery.id,
        tenant=delivery.tenant,
        task_id=delivery.task_id,
        event_id=delivery.event_id,
        event_type=delivery.event_type,
        url=delivery.url,
        state=_STATES[delivery.state],
        attempts=delivery.attempts,
        created_at=timestamp(delivery.created_at),
        reason=delivery.reason,
        history=[_attempt(attempt) for attempt in delivery.history],
    )
    if delivery.state is DeliveryState.PENDING:
        message.next_attempt_at.CopyFrom(timestamp(delivery.due))
    return message


def _attempt(attempt: DeliveryAttempt) -> pb.DeliveryAttempt:
    return pb.DeliveryAttempt(
        at=timestamp(attempt.at),
        duration_seconds=attempt.duration,
        http_status=attempt.status or None,
        error=attempt.error,
    )


def _secret(pair: SecretPair) -> pb.Secret:
    message = pb.Secret(current=pair.current)
    if pair.previous is not None:
        message.previous = pair.previous
        message.previous_valid_until.CopyFrom(timestamp(pair.previous_until // SECOND * SECOND))
    return message
