"""Fixtures of the client matrix: one stack for all, and what clients of other languages need."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from deploy.local.paths import ROOT, StackFolder
from deploy.local.ports import HOST, free_ports
from tests.clients.customer import Customer
from tests.clients.toolchains import go_tool, node_folder
from tests.stack import RunningStack, running_stack

# They run in an environment of their own: make test-clients.
collect_ignore_glob = [] if importlib.util.find_spec("openapi_python_client") else ["test_*.py"]


@pytest.fixture(scope="session")
def hook_port() -> int:
    """Where a receiver of webhooks may listen."""
    [port] = free_ports(1)
    return port


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, hook_port: int) -> Iterator[RunningStack]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("WEBHOOK_ALLOW_PRIVATE", f"{HOST}:{hook_port}")
        with running_stack(StackFolder(tmp_path_factory.mktemp("whole"))) as everything:
            yield everything


@pytest.fixture(scope="session")
def customer(stack: RunningStack) -> Customer:
    """What a customer is told: where the API is, and a key."""
    return Customer(stack.base_url, stack.api_key or "")


@pytest.fixture(scope="session")
def events_credentials(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a user of the tenant demo's on NATS, as `make up` says one is made."""
    command = ("create-key", "--tenant", "demo", "--name", "reader", "--scope", "events")
    made = subprocess.run(
        [sys.executable, "-m", "services.access", *command],
        cwd=ROOT,
        env=os.environ | stack.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    file = tmp_path_factory.mktemp("events") / "demo.creds"
    file.write_text(made.stdout)
    return file


@pytest.fixture(scope="session")
def child_environment(stack: RunningStack, customer: Customer, events_credentials: Path) -> dict[str, str]:
    """For clients that are processes of their own."""
    told = {
        "ATELIER_URL": customer.url,
        "ATELIER_KEY": customer.key,
        "NATS_URL": stack.addresses.nats_url,
        "EVENTS_CREDENTIALS": str(events_credentials),
        "EVENTS_DURABLE": "tenant-demo",
    }
    return {**os.environ, **told}


@pytest.fixture(scope="session")
def document(customer: Customer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The OpenAPI document, as the gateway serves it."""
    answer = httpx2.get(f"{customer.url}/openapi.json", timeout=20).raise_for_status()
    file = tmp_path_factory.mktemp("openapi") / "openapi.json"
    file.write_text(json.dumps(answer.json()))
    return file


@pytest.fixture(scope="session")
def curl() -> str:
    return _required("curl", "apt install curl")


@pytest.fixture(scope="session")
def node() -> str:
    return _required("node", "apt install nodejs npm, version 20 or later")


@pytest.fixture(scope="session")
def scripts(node: str) -> Path:
    """The folder of the Node clients, with their packages."""
    return node_folder(_required("npm", "apt install npm"))


@pytest.fixture(scope="session")
def grpcurl() -> Path:
    return go_tool("grpcurl", "github.com/fullstorydev/grpcurl/cmd/grpcurl")


@pytest.fixture(scope="session")
def ghz() -> Path:
    return go_tool("ghz", "github.com/bojand/ghz/cmd/ghz")


@pytest.fixture(scope="session")
def oapi_codegen() -> Path:
    return go_tool("oapi-codegen", "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen")


def _required(program: str, how: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not on this machine ({how})")
    return found
