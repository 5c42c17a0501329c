"""One gRPC connection to Triton: streams of decoupled models, single inferences, and loading models."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import grpc
import numpy as np
import structlog
from numpy.typing import NDArray
from tritonclient.grpc import InferInput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from services.providers.ports import Pixels
from services.providers.triton.answers import tensors_of
from services.providers.triton.failures import ModelLost, error_of
from services.providers.triton.processes import end_stub, is_here, stubs_of
from services.telemetry.trace_context import outgoing

log = structlog.get_logger()
_OPTIONS = [
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
]
_CONTROL_SECONDS = 10.0
_LOAD_SECONDS = 900.0
_UNLOAD_SECONDS = 5.0
_LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class ModelResponse:
    """One response: the JSON event every response of ours carries, and its pictures by name."""

    event: dict[str, Any]
    pixels: dict[str, Pixels]


class ModelState(NamedTuple):
    """As the index of Triton's repository has it.

    `name`: READY (also when it is dead), LOADING, UNLOADING, UNAVAILABLE, or "" when it was never loaded.
    """

    name: str
    reason: str = ""

    @property
    def in_passing(self) -> bool:
        return self.name in ("LOADING", "UNLOADING")

    @property
    def failed(self) -> bool:
        """It could not be loaded; `unloaded` is what one leaves for a moment that is loaded anew."""
        return self.name == "UNAVAILABLE" and self.reason not in ("", "unloaded")


class TritonConnection:
    """Raises ModelLost for whatever Triton itself says, and the ComputeError our models name.

    What says nothing or cannot be read is Internal: MODEL_ANSWER_UNUSABLE.
    """

    def __init__(self, client: InferenceServerClient, *, port: int | None = None) -> None:
        """`port` is the one it listens on, where that is on this machine."""
        self.is_here = port is not None
        self._client = client
        self._port = port

    async def stream(
        self, model: str, request: Mapping[str, Any], images: Mapping[str, Pixels]
    ) -> AsyncGenerator[ModelResponse]:
        """The responses until the last one. Closing the iterator cancels the request within one step."""
        sent = {"model_name": model, "inputs": _inputs(request, images)}

        async def once() -> AsyncIterator[dict[str, Any]]:
            yield sent

        responses = self._client.stream_infer(once(), headers=outgoing())
        try:
            async for result, error in responses:
                if error is not None:
                    raise error_of(error.message())
                yield ModelResponse(*tensors_of(result))
        except grpc.aio.AioRpcError as error:
            raise _lost(error.code(), error.details()) from error
        finally:
            responses.cancel()

    async def ask(self, model: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """The only event of a request that has but one."""
        async with aclosing(self.stream(model, request, {})) as answers:
            async for answer in answers:
                return answer.event
        raise ModelLost(f"{model} ended its stream without an answer")

    async def infer(
        self, model: str, request: Mapping[str, Any], images: Mapping[str, Pixels], *, timeout: float
    ) -> ModelResponse:
        """One inference of a model that is not decoupled."""
        try:
            result = await self._client.infer(
                model, _inputs(request, images), client_timeout=timeout, headers=outgoing()
            )
        except InferenceServerException as error:
            raise _failure(error) from error
        return ModelResponse(*tensors_of(result))

    async def state(self, model: str) -> ModelState:
        """Raises ModelLost."""
        try:
            index = await self._client.get_model_repository_index(client_timeout=_CONTROL_SECONDS)
        except InferenceServerException as error:
            raise _failure(error) from error
        found = (ModelState(str(item.state), str(item.reason)) for item in index.models if item.name == model)
        return next(found, ModelState(""))

    async def reload(self, model: str) -> None:
        """Unloading first: loading alone answers OK and leaves a dead process dead.

        Triton unloads in the background, and a load that comes before it is through leaves the old process for ever.
        """
        before = await self._processes(model)
        try:
            await self._client.unload_model(model, client_timeout=_CONTROL_SECONDS)
            await self._unloaded(model, before)
            await self._client.load_model(model, client_timeout=_LOAD_SECONDS)
        except InferenceServerException as error:
            raise _failure(error) from error

    async def _unloaded(self, model: str, before: set[int]) -> None:
        """Waits for the old processes to go, and ends those that do not."""
        give_up = time.monotonic() + _UNLOAD_SECONDS
        while time.monotonic() < give_up:
            here = self._port is None or before & await self._processes(model)
            if not here and not (await self.state(model)).in_passing:
                return
            await asyncio.sleep(_LOOK_SECONDS)
        for pid in before:
            if end_stub(pid, model):
                log.warning("old model process ended", model=model, pid=pid)

    async def _processes(self, model: str) -> set[int]:
        """Those of the model, where they can be seen from here."""
        return set() if self._port is None else await asyncio.to_thread(stubs_of, model, self._port)


@asynccontextmanager
async def connect(target: str) -> AsyncIterator[TritonConnection]:
    """`target` is host:port of Triton's gRPC; it need not be there yet."""
    async with InferenceServerClient(target, channel_args=_OPTIONS) as client:
        yield TritonConnection(client, port=int(target.rpartition(":")[2]) if is_here(target) else None)


def _inputs(request: Mapping[str, Any], images: Mapping[str, Pixels]) -> list[InferInput]:
    found = []
    if request:
        found.append(_tensor("REQUEST", "BYTES", np.array([json.dumps(request).encode()], dtype=object)))
    found += [_tensor(name, "UINT8", pixels) for name, pixels in images.items()]
    return found


def _tensor(name: str, kind: str, values: NDArray[Any]) -> InferInput:
    tensor = InferInput(name, list(values.shape), kind)
    tensor.set_data_from_numpy(np.ascontiguousarray(values))
    return tensor


def _failure(error: InferenceServerException) -> Exception:
    if error.status() in ("StatusCode.UNAVAILABLE", "StatusCode.DEADLINE_EXCEEDED", "StatusCode.CANCELLED"):
        found = error_of(error.message())
        server = isinstance(found, ModelLost) and "UNAVAILABLE" in error.status()
        return ModelLost(str(error.message()), server=server) if isinstance(found, ModelLost) else found
    return error_of(error.message())


def _lost(code: grpc.StatusCode, details: str | None) -> ModelLost:
    return ModelLost(details or code.name, server=code is grpc.StatusCode.UNAVAILABLE)
