"""Fixtures of tests that use the whole stack."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from compute.tasks.v1 import tasks_pb2_grpc as rpc

from services.common.grpc_client import Credentials, connect
from services.common.storage_client import StorageClient
from tests.integration.whole_system import System
from tests.stack import RunningStack


@pytest.fixture
async def system(stack: RunningStack) -> AsyncIterator[System]:
    credentials = Credentials(stack.internal_token)
    async with connect(stack.addresses.tasks) as tasks, connect(stack.addresses.storage) as storage:
        yield System(rpc.TaskServiceStub(tasks), StorageClient(storage, credentials), credentials)
