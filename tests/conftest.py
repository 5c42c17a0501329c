"""Fixtures of the stack; each part starts when the first test asks for it and serves the whole session."""
from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from deploy.local import stores
from deploy.local.places import Home
from deploy.local.ports import HOST, free_ports
from tests.stack import running


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("stack"))


@pytest.fixture(scope="session")
def nats_url(home: Home) -> Iterator[str]:
    """A NATS server with JetStream: the one NATS_URL names, else one of our own."""
    if given := os.environ.get("NATS_URL"):
        yield given
        return
    [port] = free_ports(1)
    with running(stores.nats(home, port), home):
        yield f"nats://{HOST}:{port}"


@pytest.fixture(scope="session")
def mongodb_url(home: Home) -> Iterator[str]:
    """A MongoDB: the one MONGODB_URL names, else the embedded wire server."""
    if given := os.environ.get("MONGODB_URL"):
        yield given
        return
    [port] = free_ports(1)
    with running(stores.mongodb(home, port), home):
        yield f"mongodb://{HOST}:{port}"
