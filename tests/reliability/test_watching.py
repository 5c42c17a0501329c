"""A watcher keeps its place while the bus is killed and comes back."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.gateway_host import TASKS, stack
from tests.reliability.servers import OwnServer


@pytest.mark.timeout(120)
async def test_events_go_on_in_order_after_the_bus_was_killed(
    mongodb_url: str, nats_server: OwnServer, tmp_path: Path
) -> None:
    """What is said while it is away, and after, reaches the same connection: each event once."""
    async with stack(mongodb_url, nats_server.url, tmp_path / "objects", heartbeat_seconds=0.5) as api:
        task = await api.create()
        marks: list[int] = []
        verbs: list[str] = []
        async with api.http.stream("GET", f"{TASKS}{task['id']}/events") as response, asyncio.timeout(60):
            async for line in response.aiter_lines():
                if line.startswith("event: task") and not verbs:
                    await api.assign(task["id"])
                # The last word stands where the last event does.
                if line.startswith("id: ") and not line.endswith("-end"):
                    marks.append(int(line[4:]))
                if not line.startswith('data: {"specversion"'):
                    continue
                event: dict[str, Any] = json.loads(line[6:])
                verbs.append(event["type"].split(".")[2])
                if verbs[-1] == "executing":
                    await nats_server.kill()
                    assert (await api.http.post(f"{TASKS}{task['id']}/cancel")).status_code == 200
                    await nats_server.start()
    assert verbs[-2:] == ["executing", "cancelled"] and len(set(verbs)) == len(verbs)
    assert marks == sorted(set(marks))
