"""Fixtures of tests that use the whole stack."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from compute.tasks.v1 import tasks_pb2_grpc as rpc
from nats.aio.client import Client

from services.clients.storage_client import StorageClient
from services.messaging.streams import ensure_streams
from services.messaging.subjects.webhooks import WEBHOOKS, WEBHOOKS_STREAM
from services.rpc.grpc_client import Credentials, connect
from tests.integration.whole_system import System
from tests.nats_server import connected
from tests.stack import RunningStack


@pytest.fixture
async def empty_hooks(nats_url: str) -> AsyncIterator[Client]:
    """A bus with no notice left of earlier tests: every database shares the stream."""
    client = await connected(nats_url)
    await ensure_streams(client, WEBHOOKS_STREAM)
    await client.jetstream().purge_stream(WEBHOOKS)
    yield client
    await client.close()


@pytest.fixture
async def system(stack: RunningStack) -> AsyncIterator[System]:
    credentials = Credentials(stack.internal_token)
    async with connect(stack.addresses.tasks) as tasks, connect(stack.addresses.storage) as storage:
        yield System(rpc.TaskServiceStub(tasks), StorageClient(storage, credentials), credentials)
