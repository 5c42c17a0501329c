"""What /health of the whole system says while a part of it is away, and that tasks are accepted all the same."""

from __future__ import annotations

import asyncio
import signal

import httpx2
import pytest

from tests.stack import RunningStack
from tests.waiting import time_passes

TASK = {"task_type": "GENERATION", "origin_instance": "test", "prompt": "a red mug"}


async def until_it_says(client: httpx2.AsyncClient, status: str, *lacking: str) -> None:
    """Never anything but 200 on the way."""
    async with asyncio.timeout(60):
        while True:
            answer = await client.get("/health")
            assert answer.status_code == 200, answer.text
            told = answer.json()
            if told["status"] == status and set(told["degraded"]) >= set(lacking):
                return
            await time_passes(0.5, because="a health check comes now and then")


@pytest.mark.field("health-degraded")
@pytest.mark.timeout(240)
@pytest.mark.parametrize(("component", "lacking"), [("triton", "models"), ("inference", "workers")])
async def test_without_triton_or_workers_health_is_degraded_and_tasks_are_accepted(
    stack: RunningStack, component: str, lacking: str
) -> None:
    headers = {"authorization": f"Bearer {stack.api_key}"}
    async with httpx2.AsyncClient(base_url=stack.base_url, headers=headers, timeout=20) as client:
        await until_it_says(client, "up")
        stack.signal(component, signal.SIGSTOP)
        try:
            await until_it_says(client, "degraded", lacking)
            created = (await client.post("/api/v1/tasks/", json=TASK)).json()
            assert created["status"] == "PENDING"
        finally:
            stack.signal(component, signal.SIGCONT)
        await until_it_says(client, "up")
        waited = {"prefer": "wait=60"}
        assert (await client.get(f"/api/v1/tasks/{created['id']}", headers=waited)).json()["status"] == "COMPLETED"
    stack.wait_recovered()
