"""What results follow from beside their tasks: the models that answer now, and the code around them."""

from __future__ import annotations

import asyncio
import hashlib
import time
from functools import cache
from pathlib import Path

import grpc
from compute.tasks.v1 import tasks_pb2, tasks_pb2_grpc

from services.rpc.grpc_client import Credentials, call
from services.workflows.cache_identity import Models

_TIMEOUT, _REMEMBERED = 10.0, 1.0
_PACKAGES = ("catalog", "imaging", "inference", "providers")


class GrpcServedModels:
    """As workers announce them to the tasks service; asked for once a second at most."""

    def __init__(self, channel: grpc.aio.Channel, credentials: Credentials) -> None:
        self._tasks = tasks_pb2_grpc.TaskServiceStub(channel)
        self._credentials = credentials
        self._known: Models = ()
        self._until = 0.0

    async def models(self, tenant: str) -> Models:
        if time.monotonic() >= self._until:
            metadata = self._credentials.metadata(tenant)
            answer: tasks_pb2.ListModelsResponse = await call(
                self._tasks.ListModels, tasks_pb2.ListModelsRequest(), timeout=_TIMEOUT, metadata=metadata
            )
            self._known = [(model.serves, model.name, model.sha256) for model in answer.models]
            self._until = time.monotonic() + _REMEMBERED
        return self._known


async def software() -> str:
    """A hash of the code that runs tasks: what another version makes is another result."""
    return await asyncio.to_thread(_software)


@cache
def _software() -> str:
    root, digest = Path(__file__).parents[1], hashlib.sha256()
    for package in _PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            digest.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return digest.hexdigest()
