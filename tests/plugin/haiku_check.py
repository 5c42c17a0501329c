"""Run in a tree that has the plug-in's files: the new type by the new provider, from REST schema to result; and the
new surface beside the first.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import httpx2
import pytest
from compute.tasks.v1 import params_pb2, tasks_pb2

from services.providers.directory import Providers
from tests.integration.gateway_host import stack
from tests.integration.tasks_host import hosting
from tests.integration.worker_host import WorkerHost


def haiku(about: str) -> params_pb2.TaskParams:
    message: Any = params_pb2
    params: params_pb2.TaskParams = message.TaskParams(haiku=message.HaikuParams(about=about))
    return params


def test_the_openapi_document_has_both() -> None:
    printed = subprocess.run([sys.executable, "-m", "gateway.openapi"], capture_output=True, check=True, text=True)
    schemas = json.loads(printed.stdout)["components"]["schemas"]
    assert {"CreateHaikuTask", "HaikuTaskPublic", "HaikuTaskPublicUpdate"} <= set(schemas)
    assert "about" in schemas["CreateHaikuTask"]["required"]
    assert "HAIKU" in schemas["TaskType"]["enum"]
    assert "ECHO" in schemas["ProviderType"]["enum"]


async def test_a_task_of_the_type_runs_by_the_provider(mongodb_url: str, nats_url: str) -> None:
    echo = importlib.import_module("services.providers.echo")
    async with (
        hosting(mongodb_url, nats_url, database=f"plugin_{uuid4().hex[:12]}") as host,
        echo.connect(echo.Settings()) as opened,
    ):
        world = WorkerHost(host, nats_url)
        async with world.worker(Providers({"ECHO": opened})):
            ended = await world.run(haiku("rain"), provider_type="ECHO", provider_config={"times": 2})
    assert ended.status == tasks_pb2.TASK_STATUS_COMPLETED, ended.errors
    result: Any = ended.result
    assert result.haiku.result_text == "a haiku about rain\na haiku about rain"
    assert [call.provider for call in ended.provider_calls] == ["ECHO"]


async def test_its_limits_are_checked_at_the_door(mongodb_url: str, nats_url: str) -> None:
    async with hosting(mongodb_url, nats_url, database=f"plugin_{uuid4().hex[:12]}") as host:
        world = WorkerHost(host, nats_url)
        for params, config in ((haiku("x" * 201), {"times": 1}), (haiku("rain"), {"times": 4})):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await world.create(params, provider_type="ECHO", provider_config=config)
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_the_document_has_the_surface() -> None:
    printed = subprocess.run([sys.executable, "-m", "gateway.openapi"], capture_output=True, check=True, text=True)
    document = json.loads(printed.stdout)
    found = document["paths"]["/v1/verses/{verse}"]["get"]
    assert found["security"] and found["parameters"][0]["description"] == "Number of the verse"
    assert {"name": "Verses", "description": "Lines"} in document["tags"]


async def test_the_surface_is_closed_and_spells_errors_its_own_way(
    mongodb_url: str, nats_url: str, tmp_path: Path
) -> None:
    async with stack(mongodb_url, nats_url, tmp_path) as api:

        async def ask(client: httpx2.AsyncClient, path: str) -> tuple[int, Any]:
            answer = await client.get(path)
            return answer.status_code, answer.json()

        assert await ask(api.stranger, "/v1/verses/1") == (401, {"oops": "KEY_MISSING", "status": 401})
        assert await ask(api.http, "/v1/verses/first") == (200, {"tenant": "acme"})
        assert await ask(api.http, "/v1/verses/7") == (404, {"oops": "TASK_NOT_FOUND", "status": 404})
        assert await ask(api.http, "/v1/verses/two") == (422, {"oops": "INVALID", "count": 1})
        assert await ask(api.http, "/v1/verses/7/8") == (404, {"oops": "ROUTE_NOT_FOUND", "status": 404})
        status, problem = await ask(api.http, f"/api/v1/tasks/{uuid4()}")
        assert (status, problem["reason"]) == (404, "TASK_NOT_FOUND") and problem["title"] == "Not Found"
