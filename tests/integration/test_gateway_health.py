"""GET /health: 503 only when no task can be accepted; what else is lacking is named, and is no reason to turn away."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import httpx2
import pytest
from compute.tasks.v1 import worker_pb2, worker_pb2_grpc

from deploy.local import stores
from deploy.local.paths import StackFolder
from deploy.local.ports import HOST, free_ports
from gateway.settings import GatewaySettings
from services.rpc.grpc_client import Credentials, connect
from tests.integration.gateway_host import TASKS, TOKEN, Stack, generation, services, serving, stack
from tests.nats_server import nats_component
from tests.stack import running
from tests.waiting import until


async def health(client: httpx2.AsyncClient) -> tuple[int, str, list[str]]:
    answer = await client.get("/health")
    told = answer.json()
    return answer.status_code, told["status"], told["degraded"]


async def detail(client: httpx2.AsyncClient, dependency: str) -> str | None:
    told = (await client.get("/health")).json()["dependencies"][dependency]["detail"]
    return cast("str | None", told)


def healthy(client: httpx2.AsyncClient, *wanted: Any) -> Callable[[], Awaitable[bool]]:
    async def as_wanted() -> bool:
        return await health(client) == wanted

    return as_wanted


def refusing(client: httpx2.AsyncClient) -> Callable[[], Awaitable[bool]]:
    async def refuses() -> bool:
        return (await health(client))[:2] == (503, "down")

    return refuses


async def beat(api: Stack, *unwell: str, why: str = "") -> None:
    request = worker_pb2.HeartbeatTasksRequest(worker_id="w1", queue="inference", capacity=1, unavailable_models=unwell)
    request.unavailable_reasons.extend([why] if why else [])
    stub = worker_pb2_grpc.WorkerServiceStub(api.channel)
    await stub.HeartbeatTasks(request, metadata=Credentials(TOKEN).metadata(), timeout=10)


@pytest.mark.field("health-degraded")
async def test_without_workers_or_models_tasks_are_accepted_and_health_says_what_is_lacking(
    mongodb_url: str, nats_url: str, tmp_path: Path
) -> None:
    async with stack(mongodb_url, nats_url, tmp_path) as api:
        assert await health(api.stranger) == (200, "degraded", ["workers"])
        assert await detail(api.stranger, "workers") == "WORKERS_AWAY: no worker is there; tasks wait for one"
        assert (await api.http.post(TASKS, json=generation())).status_code == 200
        await beat(api)
        assert await until(healthy(api.stranger, 200, "up", []))
        await beat(api, "diffusion")
        assert await until(healthy(api.stranger, 200, "degraded", ["models"]))
        assert await detail(api.stranger, "models") == "MODELS_AWAY: models that do not answer: diffusion"
        assert (await api.http.post(TASKS, json=generation())).status_code == 200
        await beat(api, "diffusion", why="the network answers no numbers")
        away = "MODELS_AWAY: models that do not answer: diffusion (the network answers no numbers)"

        async def says_why() -> bool:
            return await detail(api.stranger, "models") == away

        assert await until(says_why)
        await beat(api)
        assert await until(healthy(api.stranger, 200, "up", []))


async def test_without_storage_tasks_are_accepted(mongodb_url: str, nats_url: str, tmp_path: Path) -> None:
    async with stack(mongodb_url, nats_url, tmp_path, storage_target="127.0.0.1:1") as api:
        await beat(api)
        assert await until(healthy(api.stranger, 200, "degraded", ["storage"]))
        assert (await api.http.post(TASKS, json=generation())).status_code == 200


async def test_without_nats_tasks_are_accepted(mongodb_url: str, tmp_path: Path) -> None:
    [port], home = free_ports(1), StackFolder(tmp_path / "nats")
    with running(nats_component(home, port), home) as nats:
        async with stack(mongodb_url, f"nats://{HOST}:{port}", tmp_path / "objects") as api:
            os.kill(nats.pid, signal.SIGSTOP)
            try:
                assert await until(healthy(api.stranger, 200, "degraded", ["workers", "nats"]))
                assert (await api.http.post(TASKS, json=generation())).status_code == 200
            finally:
                os.kill(nats.pid, signal.SIGCONT)


async def test_without_the_store_no_task_is_accepted_and_health_is_503(nats_url: str, tmp_path: Path) -> None:
    [port], home = free_ports(1), StackFolder(tmp_path / "store")
    with running(stores.mongodb(home, port), home) as store:
        async with stack(f"mongodb://{HOST}:{port}", nats_url, tmp_path / "objects") as api:
            assert (await health(api.stranger))[0] == 200
            os.kill(store.pid, signal.SIGSTOP)
            try:
                assert await until(refusing(api.stranger), timeout=30)
            finally:
                os.kill(store.pid, signal.SIGCONT)
            assert await until(healthy(api.stranger, 200, "degraded", ["workers"]))


async def test_without_the_tasks_service_nothing_is_known_of_workers(
    mongodb_url: str, nats_url: str, tmp_path: Path
) -> None:
    shared = {"mongodb_url": mongodb_url, "mongodb_database": f"gateway_{uuid4().hex[:12]}", "nats_url": nats_url}
    async with services({**shared, "internal_token": TOKEN}, tmp_path, "") as (target, _):
        given: dict[str, Any] = {**shared, "internal_token": TOKEN, "tasks_target": "127.0.0.1:1"}
        given |= dict.fromkeys(("storage_target", "access_target", "workflows_target"), target)
        async with (
            serving(GatewaySettings(**given)) as url,
            connect(target),
            httpx2.AsyncClient(base_url=url) as client,
        ):
            answer = await client.get("/health")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    told = answer.json()
    assert (told["status"], told["degraded"]) == ("down", ["tasks", "workers", "models"])
    assert told["dependencies"]["workers"]["status"] == "unknown"
