"""Webhooks over HTTP: lists, replay, secrets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from tests.integration.gateway_host import TASKS, Stack, generation, stack
from tests.waiting import until

ROOT = "/api/v1/webhooks"


@pytest.fixture
async def api(mongodb_url: str, nats_url: str, tmp_path: Path, empty_hooks: Client) -> AsyncIterator[Stack]:
    async with stack(mongodb_url, nats_url, tmp_path) as api:
        yield api


async def test_a_delivery_is_listed_with_why_it_waits_and_can_be_replayed(api: Stack) -> None:
    # Nobody has this name, so that nothing leaves this machine.
    task = await api.create(webhook_url="https://nobody.example/hook")
    await api.finish(task["id"])

    async def failed_once() -> dict[str, Any] | None:
        [*found] = (await api.http.get(f"{ROOT}/deliveries", params={"task_id": task["id"]})).json()
        return found[0] if found and found[0]["history"] else None

    delivery = await until(failed_once)
    assert (delivery["state"], delivery["event_type"]) == ("PENDING", "atelier.task.completed.v1")
    assert delivery["reason"].startswith(("URL_UNREACHABLE", "URL_UNAVAILABLE")) and delivery["next_attempt_at"]
    assert delivery["history"][0]["http_status"] is None
    replayed = await api.http.post(f"{ROOT}/deliveries/{delivery['id']}/replay")
    assert (replayed.status_code, replayed.json()["attempts"]) == (200, 0)
    assert (await api.http.get(f"{ROOT}/deliveries", params={"state": "DEAD"})).json() == []


async def test_another_tenant_sees_none_of_it(api: Stack) -> None:
    task = await api.create(webhook_url="https://nobody.example/hook")
    await api.finish(task["id"])

    async def listed() -> str | None:
        found = (await api.http.get(f"{ROOT}/deliveries")).json()
        return found[0]["id"] if found else None

    name = await until(listed)
    assert (await api.other.get(f"{ROOT}/deliveries")).json() == []
    answer = await api.other.post(f"{ROOT}/deliveries/{name}/replay")
    assert (answer.status_code, answer.json()["reason"]) == (404, "DELIVERY_NOT_FOUND")


async def test_secrets_are_for_administrators_and_stay_the_same_until_they_are_rotated(api: Stack) -> None:
    for method, path in (("GET", "secret"), ("POST", "secret/rotate"), ("POST", "endpoints/enable")):
        refused = await api.http.request(method, f"{ROOT}/{path}")
        assert (refused.status_code, refused.json()["reason"]) == (403, "SCOPE_MISSING")
    admin = {"authorization": f"Bearer {await api.key('acme', 'tasks', 'admin')}"}
    first = await api.http.get(f"{ROOT}/secret", headers=admin)
    assert first.headers["cache-control"] == "no-store"
    assert first.json() == (await api.http.get(f"{ROOT}/secret", headers=admin)).json()
    rotated = (await api.http.post(f"{ROOT}/secret/rotate", headers=admin)).json()
    assert rotated["previous"] == first.json()["current"] != rotated["current"]
    assert rotated["previous_valid_until"]


@pytest.mark.parametrize(("body", "status"), [({"url": "https://a.example/"}, 404), ({}, 422), ({"url": 1}, 422)])
async def test_only_what_is_disabled_can_be_enabled(api: Stack, body: dict[str, object], status: int) -> None:
    admin = {"authorization": f"Bearer {await api.key('acme', 'admin')}"}
    answer = await api.http.post(f"{ROOT}/endpoints/enable", headers=admin, json=body)
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize("query", [{"state": "LOST"}, {"limit": 0}, {"skip": -1}, {"unknown": 1}])
async def test_a_list_refuses_what_it_does_not_know(api: Stack, query: dict[str, str]) -> None:
    assert (await api.http.get(f"{ROOT}/deliveries", params=query)).status_code == 422


@pytest.mark.field("43")
@pytest.mark.parametrize("url", ["https://shop.example.com:9443/hook", "http://localhost:9000/hook"])
async def test_an_address_that_would_not_be_called_is_refused_with_the_task(api: Stack, url: str) -> None:
    answer = await api.http.post(TASKS, json=generation(webhook_url=url))
    assert (answer.status_code, answer.json()["reason"]) == (400, "URL_NOT_ALLOWED")
    assert "80, 443, 8080, 8443" in answer.json()["detail"]
    assert (await api.http.get(TASKS)).json() == []
