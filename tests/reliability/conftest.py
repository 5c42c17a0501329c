"""Servers that a test may hurt."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.reliability.servers import OwnServer, own_nats, own_store


@pytest.fixture
async def nats_server(tmp_path: Path) -> AsyncIterator[OwnServer]:
    server = own_nats(tmp_path / "nats")
    await server.start()
    yield server
    await server.kill()


@pytest.fixture
async def store_server(tmp_path: Path) -> AsyncIterator[OwnServer]:
    server = own_store(tmp_path / "store")
    await server.start()
    yield server
    await server.kill()
