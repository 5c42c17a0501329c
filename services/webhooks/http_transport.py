"""Calls an address once: signed as Standard Webhooks asks, guarded like every address that callers name.

Sources: the Standard Webhooks specification 1.0 (webhook-id, webhook-timestamp, webhook-signature) and the CloudEvents
HTTP binding 1.0.2, structured mode (the content type).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from standardwebhooks import Webhook

from services.common.errors import InvalidRequest, Unavailable
from services.net.guarded_http import GuardedHttp, PostResponse
from services.net.header_values import parse_pause
from services.telemetry import tracing
from services.telemetry.trace_context import carried, outgoing
from services.telemetry.tracing import SpanKind
from services.webhooks.domain import SECOND, Delivery
from services.webhooks.ports import DeliveryClock, EndpointResponse, SecretRepository

_READ_BYTES, _SHOWN_CHARACTERS = 1_024, 200
_CLOUD_EVENT = "application/cloudevents+json; charset=utf-8"
# JSON has no charset; some receivers compare the whole of it.
_CONTENT_TYPES = {"application/json": "application/json"}
_BLANK = re.compile(r"\s+")


class HttpDeliveryTransport:
    def __init__(self, http: GuardedHttp, secrets: SecretRepository, clock: DeliveryClock) -> None:
        self._http = http
        self._secrets = secrets
        self._clock = clock

    async def call(self, delivery: Delivery) -> EndpointResponse:
        """Never raises for what the other side does."""
        now = self._clock.now()
        secrets = (await self._secrets.get(delivery.tenant)).valid(now)
        headers = {"content-type": _CONTENT_TYPES.get(delivery.content_type or "", _CLOUD_EVENT)}
        headers |= sign(delivery.id, delivery.body, secrets, datetime.fromtimestamp(now // SECOND, UTC))
        with carried(delivery.traceparent or ""), tracing.span("webhook", SpanKind.CLIENT):
            return await self._post(delivery, headers | (outgoing() or {}), now)

    async def _post(self, delivery: Delivery, headers: dict[str, str], now: int) -> EndpointResponse:
        try:
            answered = await self._http.post(delivery.url, delivery.body.encode(), headers, max_bytes=_READ_BYTES)
        except (InvalidRequest, Unavailable) as error:
            return EndpointResponse(0, f"{error.reason}: {error.message}")
        return _judged(answered, now)


def sign(name: str, body: str, secrets: tuple[str, ...], at: datetime) -> dict[str, str]:
    """One signature for each secret that is valid, so that receivers may change theirs at leisure."""
    return {
        "webhook-id": name,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(name, at, body) for secret in secrets),
    }


def _judged(answered: PostResponse, now: int) -> EndpointResponse:
    if 200 <= answered.status < 300:
        return EndpointResponse(answered.status)
    said = _shown(answered.content)
    error = f"answered {answered.status}" + (f": {said}" if said else "")
    return EndpointResponse(answered.status, error, _retry_after(answered.headers, now))


def _shown(content: bytes) -> str:
    """The beginning of what was said, on one line."""
    text = "".join(sign if sign.isprintable() else " " for sign in content.decode("utf-8", "replace"))
    return _BLANK.sub(" ", text).strip()[:_SHOWN_CHARACTERS]


def _retry_after(headers: Mapping[str, str], now: int) -> float | None:
    return parse_pause(headers.get("retry-after", ""), datetime.fromtimestamp(now / SECOND, UTC))
