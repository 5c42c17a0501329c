"""A patient client: one key for each task, sent again until somebody answers."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.crash.plan import Job
from tests.waiting import time_passes

_PATIENCE_SECONDS = 120.0


@dataclass
class Accepted:
    """What the service promised."""

    task_id: str
    job: Job
    seconds: float


@dataclass
class Load:
    """Sends jobs and remembers what was accepted, what was refused and what nobody answered."""

    client: httpx2.AsyncClient
    accepted: list[Accepted] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)

    async def run(self, jobs: tuple[Job, ...]) -> None:
        begun = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for job in jobs:
                await time_passes(max(0.0, begun + job.at - time.monotonic()), because="the plan says when")
                group.create_task(self.send(job))

    async def send(self, job: Job) -> str | None:
        """The task's id once it is accepted."""
        begun = time.monotonic()
        while time.monotonic() - begun < _PATIENCE_SECONDS:
            answer = await self._post(job)
            if answer is not None and answer.status_code < 300:
                accepted = Accepted(answer.json()["id"], job, time.monotonic() - begun)
                self.accepted.append(accepted)
                return accepted.task_id
            if answer is not None and answer.status_code < 500 and answer.status_code not in (408, 429):
                self.refused.append(f"{job.key}: {answer.status_code} {answer.text[:200]}")
                return None
            await time_passes(0.2, because="a client that asks again is in no hurry")
        self.unanswered.append(job.key)
        return None

    async def _post(self, job: Job) -> httpx2.Response | None:
        try:
            return await self.client.post("/api/v1/tasks/", json=body(job), headers={"Idempotency-Key": job.key})
        except httpx2.HTTPError:
            return None

    async def show(self, task_id: str) -> dict[str, Any] | None:
        """The task as it is; None while nobody answers."""
        try:
            answer = await self.client.get(f"/api/v1/tasks/{task_id}")
        except httpx2.HTTPError:
            return None
        return dict(answer.json()) if answer.status_code == 200 else None


def body(job: Job) -> dict[str, Any]:
    if job.picture:
        config = {"provider_type": "LOCAL", "steps": 4}
        return {"task_type": "GENERATION", "origin_instance": "crash", "prompt": "a red mug", "provider_config": config}
    return {"task_type": "DIAGNOSTIC", "origin_instance": "crash", "duration_ms": job.duration_ms, "payload": job.key}
