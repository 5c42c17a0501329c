"""A stranger's client, grpcurl, finds its way by reflection alone."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.integration.tasks_host import TOKEN, Host, hosting

VERSION = "v1.9.4"
TOOLS = Path(__file__).resolve().parents[2] / ".local" / "tools"


@pytest.fixture(scope="session")
def grpcurl() -> str:
    """The one on PATH, else built once with the Go toolchain of the development environment."""
    if found := shutil.which("grpcurl"):
        return found
    binary = TOOLS / f"grpcurl-{VERSION}" / "grpcurl"
    if not binary.exists():
        build(binary.parent)
    return str(binary)


def build(target: Path) -> None:
    import subprocess

    go = Path(sys.executable).with_name("go")
    environment = {
        **os.environ,
        "GOBIN": str(target),
        "GOFLAGS": "-modcacherw",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
    }
    command = [str(go), "install", f"github.com/fullstorydev/grpcurl/cmd/grpcurl@{VERSION}"]
    subprocess.run(command, env=environment, check=True, timeout=500)  # our own command


@pytest.fixture
async def host(mongodb_url: str, nats_url: str) -> AsyncIterator[Host]:
    async with hosting(mongodb_url, nats_url, f"t{uuid4().hex[:12]}") as host:
        yield host


async def run(grpcurl: str, host: Host, *arguments: str) -> tuple[int, str]:
    headers = ["-H", f"authorization: Bearer {TOKEN}", "-H", "atelier-tenant: acme"]
    process = await asyncio.create_subprocess_exec(
        grpcurl,
        "-plaintext",
        *headers,
        *arguments[:-1],
        host.target,
        arguments[-1],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return process.returncode, output.decode()


@pytest.mark.timeout(600)
async def test_grpcurl_lists_and_calls_the_services(grpcurl: str, host: Host) -> None:
    code, listed = await run(grpcurl, host, "list")
    assert code == 0, listed
    assert {"compute.tasks.v1.TaskService", "compute.tasks.v1.WorkerService"} <= set(listed.split())
    body = {"spec": {"origin": {"instance": "t"}, "params": {"diagnostic": {"payload": "hi"}}}}
    code, created = await run(grpcurl, host, "-d", json.dumps(body), "compute.tasks.v1.TaskService/CreateTask")
    assert code == 0, created
    task = json.loads(created)["task"]
    assert (task["status"], task["tenant"]) == ("TASK_STATUS_PENDING", "acme")


@pytest.mark.timeout(600)
async def test_grpcurl_shows_the_reason_and_the_field_of_an_error(grpcurl: str, host: Host) -> None:
    body = {"spec": {"origin": {"instance": "t"}, "params": {"generation": {"prompt": "x", "width": 1}}}}
    code, answer = await run(grpcurl, host, "-d", json.dumps(body), "compute.tasks.v1.TaskService/CreateTask")
    assert code != 0
    assert "InvalidArgument" in answer and "INVALID_REQUEST" in answer and "spec.params.generation.width" in answer
