"""Creates that are turned away, and everything else that is not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from gateway.edge.admission import AdmissionControl
from services.common.errors import Overloaded


def full() -> None:
    raise Overloaded("too many requests are waiting", retry_after=1.2)


async def inside(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("inside")(scope, receive, send)


def gate(check_room: Any) -> httpx2.AsyncClient:
    """A client of a gateway that is nothing but the gate."""
    state = SimpleNamespace(upstream=SimpleNamespace(tasks=SimpleNamespace(check_room=check_room)))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await AdmissionControl(inside)({**scope, "app": SimpleNamespace(state=state)}, receive, send)

    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://gateway")


async def test_a_create_is_refused_with_when_to_return_while_there_is_no_room() -> None:
    async with gate(full) as client:
        refused = await client.post("/api/v1/tasks/", json={})
    assert (refused.status_code, refused.json()["reason"]) == (429, "OVERLOADED")
    assert refused.headers["retry-after"] == "2"
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["x-request-id"] == refused.json()["request_id"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/api/v1/tasks/"), ("POST", "/api/v1/tasks/1/cancel")])
async def test_what_is_no_create_passes_also_when_there_is_no_room(method: str, path: str) -> None:
    async with gate(full) as client:
        assert (await client.request(method, path)).text == "inside"


async def test_a_create_passes_while_there_is_room() -> None:
    async with gate(lambda: None) as client:
        assert (await client.post("/api/v1/tasks/", json={})).text == "inside"
