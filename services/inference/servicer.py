"""The worker's own gRPC face."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
from compute.inference.v1 import inference_pb2 as pb
from compute.inference.v1 import inference_pb2_grpc as rpc

from services.common.errors import ModelUnusable
from services.common.scopes import TO_OPERATE, needs
from services.inference.settings import WorkerSettings
from services.worker.runs import Runs


class InferenceServicer(rpc.InferenceServiceServicer):
    """`canaries` run one tiny inference each; they raise Unavailable when the model does not answer, and ModelUnusable
    where waiting mends nothing.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        runs: Runs,
        task_types: list[str],
        canaries: Mapping[str, Callable[[], Awaitable[None]]],
    ) -> None:
        self._settings = settings
        self._runs = runs
        self._task_types = task_types
        self._canaries = canaries

    @needs(TO_OPERATE)
    async def DescribeWorker(
        self, request: pb.DescribeWorkerRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.DescribeWorkerResponse:
        return pb.DescribeWorkerResponse(
            worker_id=self._settings.worker_id,
            queue=self._settings.worker_queues[0],
            queues=self._settings.worker_queues,
            capacity=self._settings.worker_capacity,
            running=len(self._runs),
            task_types=self._task_types,
        )

    @needs(TO_OPERATE)
    async def CheckModels(
        self, request: pb.CheckModelsRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.CheckModelsResponse:
        response = pb.CheckModelsResponse()
        for model, canary in self._canaries.items():
            if model in request.without:
                continue
            began, unusable = time.perf_counter(), ""
            try:
                await canary()
            except ModelUnusable as error:
                unusable = error.detail
            response.models.add(model=model, seconds=time.perf_counter() - began, unusable=unusable)
        return response
