"""The whole system as another service of the deployment sees it: tasks in, events and files out."""

from __future__ import annotations

from collections.abc import AsyncIterator

from compute.common.v1 import common_pb2
from compute.tasks.v1 import params_pb2, tasks_pb2
from compute.tasks.v1 import tasks_pb2_grpc as rpc

from services.clients.storage_client import StorageClient
from services.rpc.grpc_client import Credentials

TENANT = "pictures"
ENDED = (tasks_pb2.TASK_STATUS_COMPLETED, tasks_pb2.TASK_STATUS_FAILED, tasks_pb2.TASK_STATUS_CANCELLED)


class System:
    """Everything as one tenant."""

    def __init__(self, tasks: rpc.TaskServiceStub, storage: StorageClient, credentials: Credentials) -> None:
        self.tasks = tasks
        self.storage = storage
        self.metadata = credentials.metadata(TENANT)

    async def create(self, params: params_pb2.TaskParams, **more: object) -> str:
        """`more` are further fields of the specification."""
        origin = common_pb2.Origin(instance="test")
        spec = tasks_pb2.TaskSpec(origin=origin, params=params, **more)  # type: ignore[arg-type]  # its fields
        answer = await self.tasks.CreateTask(tasks_pb2.CreateTaskRequest(spec=spec), metadata=self.metadata, timeout=10)
        return str(answer.task.id)

    async def watch(self, task_id: str) -> AsyncIterator[tasks_pb2.WatchTaskResponse]:
        request = tasks_pb2.WatchTaskRequest(task_id=task_id)
        async for update in self.tasks.WatchTask(request, metadata=self.metadata, timeout=90):
            yield update

    async def ended(self, task_id: str) -> tasks_pb2.Task:
        last = tasks_pb2.Task()
        async for update in self.watch(task_id):
            if update.HasField("task"):
                last = update.task
            if last.status in ENDED:
                break
        return last

    async def read(self, path: str) -> bytes:
        return await self.storage.read(path, tenant=TENANT, limit=50 << 20)
