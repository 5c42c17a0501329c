"""What a process has recorded of traces reaches the receiver, also when the process is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from compute.storage.v1 import storage_pb2 as pb
from compute.storage.v1 import storage_pb2_grpc as rpc

from deploy.local.paths import ROOT
from deploy.local.ports import HOST, free_ports
from services.rpc.grpc_client import Credentials, connect
from tests.otlp_receiver import receiving_traces

TOKEN = "token"
HEAD = "compute.storage.v1.StorageService/ListObjects"


@asynccontextmanager
async def storage(folder: Path, **environment: str) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """The storage service as a process of its own, which needs no other."""
    [port] = free_ports(1)
    given = {
        "LISTEN": f"{HOST}:{port}",
        "INTERNAL_TOKEN": TOKEN,
        "STORAGE_URL": folder.as_uri(),
        "IMAGE_WORKERS": "1",
        **environment,
    }
    command = (sys.executable, "-m", "services.host", "storage")
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env={**os.environ, **given})
    try:
        yield f"{HOST}:{port}", process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_spans_are_sent_before_a_process_that_was_told_to_stop_ends(tmp_path: Path) -> None:
    trace = uuid4().hex
    with receiving_traces() as receiver:
        late = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_BSP_SCHEDULE_DELAY": "600000"}
        async with storage(tmp_path, **late) as (target, process), connect(target) as channel:
            metadata = (*Credentials(TOKEN).metadata("acme"), ("traceparent", f"00-{trace}-{'1' * 16}-01"))
            stub = rpc.StorageServiceStub(channel)
            await stub.ListObjects(pb.ListObjectsRequest(), metadata=metadata, timeout=60, wait_for_ready=True)
            assert not receiver.spans
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 30) == 0
        [span] = receiver.spans
        assert (span.service, span.name, span.trace, span.parent) == ("atelier-storage", HEAD, trace, "1" * 16)


async def test_a_receiver_that_is_away_costs_calls_nothing_and_the_end_a_few_seconds(tmp_path: Path) -> None:
    [nobody] = free_ports(1)
    away = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{HOST}:{nobody}", "OTEL_BSP_SCHEDULE_DELAY": "100"}
    async with storage(tmp_path, **away) as (target, process), connect(target) as channel:
        metadata = (*Credentials(TOKEN).metadata("acme"), ("traceparent", f"00-{uuid4().hex}-{'1' * 16}-01"))
        stub = rpc.StorageServiceStub(channel)
        for _ in range(20):
            await stub.ListObjects(pb.ListObjectsRequest(), metadata=metadata, timeout=60, wait_for_ready=True)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 6) == 0
