"""Fixtures of the stack; each part starts when the first test asks for it and serves the whole session."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from deploy.local import stores
from deploy.local import triton as triton_server
from deploy.local.paths import StackFolder
from deploy.local.ports import HOST, free_ports
from deploy.local.process import ChildProcess
from deploy.local.settings import Ports
from services.access.nats_setup import SERVICES, write_setup
from tests.nats_server import VARIABLE, nats_component
from tests.stack import RunningStack, running, running_stack


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> StackFolder:
    return StackFolder(tmp_path_factory.mktemp("stack"))


@pytest.fixture(scope="session", autouse=True)
def nats_access(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One operator and one user of the services for every NATS server the tests start."""
    if os.environ.get("NATS_URL"):
        yield
        return
    folder = tmp_path_factory.mktemp("nats-access")
    write_setup(folder)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(VARIABLE, str(folder / SERVICES))
        yield


@pytest.fixture(scope="session")
def nats_url(home: StackFolder) -> Iterator[str]:
    """A NATS server with JetStream: the one NATS_URL names, else one of our own."""
    if given := os.environ.get("NATS_URL"):
        yield given
        return
    [port] = free_ports(1)
    with running(nats_component(home, port), home):
        yield f"nats://{HOST}:{port}"


@pytest.fixture(scope="session")
def mongodb_url(home: StackFolder) -> Iterator[str]:
    """A MongoDB: the one MONGODB_URL names, else the embedded wire server."""
    if given := os.environ.get("MONGODB_URL"):
        yield given
        return
    [port] = free_ports(1)
    with running(stores.mongodb(home, port), home):
        yield f"mongodb://{HOST}:{port}"


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """The whole system with a development key, as `make up` starts it: webhooks may call this machine.

    Who kills a part of it waits for its recovery before the test ends.
    """
    with running_stack(StackFolder(tmp_path_factory.mktemp("whole")), WEBHOOK_ALLOW_LOOPBACK="true") as everything:
        yield everything


@pytest.fixture(scope="session")
def triton(request: pytest.FixtureRequest) -> str:
    """host:port of a Triton server's gRPC with every model loaded: the one TRITON_TARGET names, else the stack's.

    A server for these tests alone would load the models once more: 7 s of CPU and 1.7 GB.
    """
    if given := os.environ.get("TRITON_TARGET"):
        return given
    everything: RunningStack = request.getfixturevalue("stack")
    return everything.addresses.triton


@pytest.fixture(scope="module")
def triton_ports() -> Ports:
    return Ports.free()


@pytest.fixture(scope="module")
def triton_process(tmp_path_factory: pytest.TempPathFactory, triton_ports: Ports) -> Iterator[ChildProcess]:
    """A Triton server with no worker of the stack behind it, for tests that kill its models."""
    home = StackFolder(tmp_path_factory.mktemp("triton"))
    with running(triton_server.triton(home, triton_ports), home) as child:
        yield child
