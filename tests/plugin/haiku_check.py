"""Run in a tree that has the plug-in's files: the new type by the new provider, from REST schema to result."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from typing import Any
from uuid import uuid4

import grpc
import pytest
from compute.tasks.v1 import params_pb2, tasks_pb2

from services.providers.directory import Providers
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
    assert [call.provider for call in ended.service_requests] == ["ECHO"]


async def test_its_limits_are_checked_at_the_door(mongodb_url: str, nats_url: str) -> None:
    async with hosting(mongodb_url, nats_url, database=f"plugin_{uuid4().hex[:12]}") as host:
        world = WorkerHost(host, nats_url)
        for params, config in ((haiku("x" * 201), {"times": 1}), (haiku("rain"), {"times": 4})):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await world.create(params, provider_type="ECHO", provider_config=config)
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
