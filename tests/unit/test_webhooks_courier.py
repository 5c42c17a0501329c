"""What a receiver's answer means, however odd it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from services.common.errors import Unavailable
from services.net.guarded_http import GuardedHttp, PostResponse
from services.webhooks.domain import SecretPair, WebhookNotice, new_delivery, new_secret
from services.webhooks.http_transport import HttpDeliveryTransport
from services.webhooks.ports import EndpointResponse, SecretRepository
from tests.fakes.webhooks import TurnedClock

DELIVERY = new_delivery(WebhookNotice("acme", "1", "1.1", "atelier.task.failed.v1", "https://a.example/", "{}"), 0)


class Receiver:
    """Answers with these headers."""

    def __init__(self, headers: Mapping[str, str], status: int = 503) -> None:
        self._headers = headers
        self._status = status

    async def post(self, url: str, content: bytes, headers: Mapping[str, str], *, max_bytes: int) -> PostResponse:
        return PostResponse(self._status, self._headers, b"")


class Secrets:
    async def get(self, tenant: str) -> SecretPair:
        return SecretPair(tenant, new_secret())


async def answer(headers: Mapping[str, str], status: int = 503) -> EndpointResponse:
    secrets: Any = Secrets()
    transport = HttpDeliveryTransport(
        cast("GuardedHttp", Receiver(headers, status)), cast("SecretRepository", secrets), TurnedClock()
    )
    return await transport.call(DELIVERY)


@pytest.mark.parametrize(
    "given",
    ["", "soon", "-1", "\u00b2", "Mon, 01 Jan 2024 00:00:00 +99999999999999999999", "1 Jan 99999999999999999999 0:0:0"],
)
async def test_a_retry_after_that_says_nothing_is_none(given: str) -> None:
    assert await answer({"retry-after": given}) == EndpointResponse(503, "answered 503")


async def test_a_retry_after_in_seconds_is_taken() -> None:
    assert (await answer({"retry-after": "120"})).retry_after == 120


@pytest.mark.parametrize(("status", "well"), [(199, False), (200, True), (204, True), (299, True), (300, False)])
async def test_only_two_hundreds_are_a_delivery(status: int, well: bool) -> None:
    answered = await answer({}, status)
    assert (answered.status, answered.error) == (status, "" if well else f"answered {status}")


async def test_what_cannot_be_called_was_answered_by_nobody() -> None:
    class Closed:
        async def post(self, *_: object, **__: object) -> PostResponse:
            raise Unavailable("no route", reason="HOST_UNREACHABLE")

    secrets: Any = Secrets()
    transport = HttpDeliveryTransport(cast("GuardedHttp", Closed()), secrets, TurnedClock())
    assert await transport.call(DELIVERY) == EndpointResponse(0, "HOST_UNREACHABLE: no route")
