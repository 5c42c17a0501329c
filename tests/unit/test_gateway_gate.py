"""Creates that are turned away, and everything else that is not."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from gateway.edge.admission import AdmissionControl
from services.common.errors import Overloaded
from services.common.identity import Caller


def full(tenant: str) -> None:
    """For the tenant `flood` alone."""
    if tenant == "flood":
        raise Overloaded("too many requests are waiting", retry_after=1.2)


async def inside(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("inside")(scope, receive, send)


def gate(check_room: Any) -> httpx2.AsyncClient:
    """A client of a gateway that is nothing but the gate."""
    state = SimpleNamespace(
        upstream=SimpleNamespace(tasks=SimpleNamespace(check_room=check_room)),
        access=SimpleNamespace(remembered=lambda key: Caller(key) if key else None),
    )

    admission = AdmissionControl(inside)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await admission({**scope, "app": SimpleNamespace(state=state)}, receive, send)

    headers = {"authorization": "Bearer flood"}
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://gateway", headers=headers)


@pytest.mark.parametrize("path", ["/api/v1/tasks/", "/api/v1/tasks/batch"])
async def test_a_create_is_refused_with_when_to_return_while_its_tenant_has_no_room(path: str) -> None:
    async with gate(full) as client:
        refused = await client.post(path, json={})
    assert (refused.status_code, refused.json()["reason"]) == (429, "OVERLOADED")
    assert refused.headers["retry-after"] == "2"
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["x-request-id"] == refused.json()["request_id"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/api/v1/tasks/"), ("POST", "/api/v1/tasks/1/cancel")])
async def test_what_is_no_create_passes_also_when_there_is_no_room(method: str, path: str) -> None:
    async with gate(full) as client:
        assert (await client.request(method, path)).text == "inside"


async def test_a_create_passes_while_there_is_room() -> None:
    async with gate(lambda _: None) as client:
        assert (await client.post("/api/v1/tasks/", json={})).text == "inside"


@pytest.mark.parametrize("authorization", ["Bearer other", "bearer  other ", "Bearer", "Basic Zmxvb2Q="])
async def test_a_create_passes_while_only_another_tenant_has_no_room(authorization: str) -> None:
    """Whose key is not known is asked for room behind the door, once it is."""
    async with gate(full) as client:
        answer = await client.post("/api/v1/tasks/", json={}, headers={"authorization": authorization})
        assert answer.text == "inside"


async def test_who_comes_back_at_once_whatever_a_refusal_says_is_answered_more_slowly() -> None:
    async with gate(full) as client:
        begun = time.monotonic()
        first = await client.post("/api/v1/tasks/", json={})
        prompt = time.monotonic() - begun
        refused = await asyncio.gather(*(client.post("/api/v1/tasks/", json={}) for _ in range(100)))
        paced = time.monotonic() - begun - prompt
        begun = time.monotonic()
        other = await client.post("/api/v1/tasks/", json={}, headers={"authorization": "Bearer other"})
        passed = time.monotonic() - begun
    assert {answer.status_code for answer in (first, *refused)} == {429}
    assert paced >= 0.45, "100 refusals at 200 a second"
    assert other.text == "inside"
    assert max(prompt, passed) < paced
