"""Events as a subscriber, a browser and a webhook get them: CloudEvents whose schemas are where they say."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from services.messaging.event_schemas import NAMELESS, PACKAGE
from tests.cloudevents import faults
from tests.integration.gateway_host import TASKS, Stack, events, stack
from tests.nats_server import connected

PUBLIC = "https://api.example.com/atelier"


@pytest.fixture(params=["", PUBLIC])
async def api(
    request: pytest.FixtureRequest, mongodb_url: str, nats_url: str, tmp_path: Path
) -> AsyncIterator[tuple[Stack, str]]:
    prefix = urlsplit(request.param).path
    async with stack(mongodb_url, nats_url, tmp_path, public_url=request.param, root_path=prefix) as made:
        yield made, request.param


@pytest.mark.field("dataschema")
async def test_what_is_published_names_a_schema_that_anybody_can_read(api: tuple[Stack, str], nats_url: str) -> None:
    made, public = api
    bus = await connected(nats_url)
    try:
        heard = await bus.subscribe("evt.v1.acme.task.>")
        await bus.flush()
        task = await made.create()
        await made.http.post(f"{TASKS}{task['id']}/cancel")
        published: list[str] = []
        while len(published) < 2:
            message = await heard.next_msg(timeout=20)
            if task["id"] in message.subject:
                published.append(message.data.decode())
    finally:
        await bus.close()
    assert [fault for event in published for fault in faults(event)] == []
    names = {f"{PACKAGE}TaskCreatedEvent", f"{PACKAGE}TaskStatusEvent"}
    addresses = {json.loads(event)["dataschema"] for event in published}
    assert addresses == {f"{public}/schemas/{name}" if public else f"{NAMELESS}{name}" for name in names}
    for address in addresses:
        path = urlsplit(address).path if public else f"/schemas/{address.removeprefix(NAMELESS)}"
        answer = await made.stranger.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/schema+json")
        assert answer.json()["$id"] == address


async def test_what_a_browser_is_sent_is_the_same(api: tuple[Stack, str]) -> None:
    made, _ = api
    task, seen = await made.create(), list[str]()
    async with made.http.stream("GET", f"{TASKS}{task['id']}/events") as response:
        async for name, data in events(response):
            if name == "task" and data["status"] == "PENDING":
                await made.http.post(f"{TASKS}{task['id']}/cancel")
            if name == "status":
                seen.append(json.dumps(data))
    assert seen and [fault for event in seen for fault in faults(event)] == []


@pytest.mark.parametrize("name", ["x", f"{PACKAGE}Nothing", "TaskStatusEvent", f"{PACKAGE}TaskChanges", PACKAGE])
async def test_other_names_are_not_found(api: tuple[Stack, str], name: str) -> None:
    made, _ = api
    answer = await made.stranger.get(f"/schemas/{name}")
    assert (answer.status_code, answer.json()["reason"]) == (404, "ROUTE_NOT_FOUND")
