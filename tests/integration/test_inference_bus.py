"""A worker through the restarts of NATS, and as a process that is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from compute.inference.v1 import inference_pb2
from compute.tasks.v1 import params_pb2
from nats.aio.client import Client

from deploy.local.paths import ROOT, StackFolder
from deploy.local.ports import HOST, free_ports
from services.clients.tasks_client import WorkerTasksClient
from services.inference.app import open_worker
from services.inference.context import WorkerResources
from services.inference.registry import discover_handlers
from services.inference.settings import WorkerSettings
from services.providers.directory import Providers
from services.rpc.grpc_client import Credentials, connect
from tests.fakes.objects import FakeImages, FakeObjects
from tests.fakes.provider_context import provider_context_of
from tests.fakes.worker_service import FakeWorkerService, serving
from tests.integration.worker_bench import benching
from tests.nats_server import nats_component, services_bus
from tests.stack import running
from tests.waiting import time_passes


def diagnostic(duration_ms: int = 0) -> params_pb2.TaskParams:
    return params_pb2.TaskParams(diagnostic=params_pb2.DiagnosticParams(duration_ms=duration_ms))


async def remind(bus: Client, service: FakeWorkerService, task_id: str) -> None:
    """As the dispatcher does, which says it again until the worker speaks of it."""
    item = inference_pb2.WorkItem(task_id=task_id, attempt=1)
    if inbox := service.heartbeats[-1].inbox:
        await bus.publish(inbox, inference_pb2.WorkOrder(items=[item]).SerializeToString())


async def finished(bus: Client, service: FakeWorkerService, task_id: str, within: float) -> None:
    """Reminds the worker each second until the task is done. Raises TimeoutError."""
    async with asyncio.timeout(within):
        while task_id not in service.finished:
            await remind(bus, service, task_id)
            try:
                await service.until(lambda: task_id in service.finished, timeout=1.0)
            except TimeoutError:
                continue


@pytest.mark.timeout(120)
async def test_delivery_resumes_after_nats_lost_everything(tmp_path: Path) -> None:
    [port] = free_ports(1)
    url, service = f"nats://{HOST}:{port}", FakeWorkerService()
    with running(nats_component(StackFolder(tmp_path / "first"), port), StackFolder(tmp_path / "first")) as server:
        async with serving(service) as target, services_bus(url, "test") as bus, connect(target) as channel:
            settings = WorkerSettings(internal_token="secret", worker_queues=("restarts",))
            tasks = WorkerTasksClient(channel, Credentials("secret"), worker_id="w")
            resources = WorkerResources(
                FakeImages(), FakeObjects(), bus, provider_context_of(Providers({}), bus), "LOCAL"
            )
            async with open_worker(settings, tasks, bus, resources, discover_handlers()):
                service.add("before", diagnostic())
                await service.until(lambda: service.heartbeats)
                await finished(bus, service, "before", within=10)
                server.stop()
                with running(nats_component(StackFolder(tmp_path / "second"), port), StackFolder(tmp_path / "second")):
                    service.add("after", diagnostic())
                    await finished(bus, service, "after", within=10)


@pytest.mark.timeout(120)
async def test_a_worker_names_its_inbox_only_while_it_hears_what_is_said_there(tmp_path: Path) -> None:
    [port] = free_ports(1)
    url, server, home = f"nats://{HOST}:{port}", FakeWorkerService(lease=0.6), StackFolder(tmp_path)
    with running(nats_component(home, port), home) as nats_server:
        async with benching(url, server) as bench, bench.worker(assumed_lease_seconds=0.6):
            inbox = server.heartbeats[-1].inbox
            assert inbox
            nats_server.stop()
            await server.until(lambda: not server.heartbeats[-1].inbox)
            with running(nats_component(home, port), home):
                await server.until(lambda: server.heartbeats[-1].inbox)
                assert server.heartbeats[-1].inbox != inbox, "that nobody listened before would be said of it"
                server.begin("t", diagnostic(), worker=server.heartbeats[-1].worker_id)
                async with asyncio.timeout(10):
                    while not server.finished:
                        await bench.hand("t")
                        await time_passes(0.2, because="an order is sent again after a while")


@pytest.mark.timeout(120)
async def test_a_worker_told_to_stop_gives_its_tasks_back_and_ends(nats_url: str) -> None:
    service = FakeWorkerService(lease=3.0)
    service.add("long", diagnostic(duration_ms=60_000))
    async with serving(service) as target, services_bus(nats_url, "test") as bus:
        environment = os.environ | {
            "NATS_URL": nats_url,
            "TASKS_TARGET": target,
            "TRITON_TARGET": "127.0.0.1:1",
            "INTERNAL_TOKEN": "secret",
            "WORKER_QUEUES": "stopping",
            "DRAIN_SECONDS": "0.3",
        }
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.inference", env=environment, cwd=ROOT, stderr=asyncio.subprocess.PIPE
        )
        await service.until(lambda: service.heartbeats and service.heartbeats[-1].inbox, timeout=60)
        assert list(service.heartbeats[-1].queues) == ["stopping"]
        await remind(bus, service, "long")
        await service.until(lambda: "ask" in service.calls)
        await service.until(lambda: service.heartbeats and service.heartbeats[-1].running, timeout=10)
        worker.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            _, said = await worker.communicate()
    assert worker.returncode == 0
    assert service.finished["long"].HasField("returned")
    assert service.heartbeats[-1].draining
    assert b"Traceback" not in said
    assert b"secret" not in said
