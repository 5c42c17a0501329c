"""A stream of server-sent events ends with its task, and not when an event can no longer be late."""

from __future__ import annotations

import time

import httpx2

from tests.stack import RunningStack

# An end that is known waits ten seconds for its event.
AT_ONCE_SECONDS = 5.0


async def test_a_stream_ends_as_soon_as_the_event_of_the_end_was_told(stack: RunningStack) -> None:
    headers = {"authorization": f"Bearer {stack.api_key}"}
    body = {
        "task_type": "GENERATION",
        "origin_instance": "tests",
        "prompt": "a red mug",
        "seed": 7,
        "provider_config": {"steps": 4},
    }
    async with httpx2.AsyncClient(base_url=stack.base_url, headers=headers, timeout=90) as http:
        for _ in range(3):
            task = (await http.post("/api/v1/tasks/", json=body)).json()["id"]
            completed = ended = 0.0
            async with http.stream("GET", f"/api/v1/tasks/{task}/events") as response:
                async for line in response.aiter_lines():
                    if "atelier.task.completed.v1" in line:
                        completed = time.monotonic()
            ended = time.monotonic()
            assert completed and ended - completed < AT_ONCE_SECONDS
