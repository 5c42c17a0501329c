"""Tensors in, events, pictures and errors out, of models in Triton's Python backend; only Triton can import it."""

import json
from typing import Any

import numpy as np
import triton_python_backend_utils as pb
from failures import InvalidArgument, RequestError
from streams import Event, Pixels

FINAL = pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL
# Triton 2.51 has no RESOURCE_EXHAUSTED: the reason at the head of the message is what clients go by.
CODES = {
    "INVALID_ARGUMENT": "INVALID_ARG",
    "LORA_NOT_FOUND": "NOT_FOUND",
    "LORA_HASH_MISMATCH": "INVALID_ARG",
    "LORA_UNSUPPORTED": "UNSUPPORTED",
    "RESOURCE_EXHAUSTED": "UNAVAILABLE",
    "OUT_OF_MEMORY": "UNAVAILABLE",
    "CANCELLED": "CANCELLED",
    "UNAVAILABLE": "UNAVAILABLE",
}


class StreamSink:
    """One request's response stream; `partial` is the tensor that an event on the way may carry."""

    def __init__(self, sender: Any, partial: str) -> None:
        self._sender = sender
        self._partial = partial

    def cancelled(self) -> bool:
        return bool(self._sender.is_cancelled())

    def send(self, event: Event, preview: Pixels | None = None) -> None:
        self._sender.send(_response(event, self._partial, preview))

    def finish(self, event: Event, picture: Pixels | None = None) -> None:
        self._sender.send(_response(event, "RESULT", picture), flags=FINAL)

    def fail(self, error: RequestError) -> None:
        self._sender.send(error_response(error), flags=FINAL)


def error_response(error: RequestError) -> Any:
    # Looked up now: Triton adds TritonError to its module only after this one is imported.
    code = getattr(pb.TritonError, CODES.get(error.reason, "INTERNAL"))
    return pb.InferenceResponse(error=pb.TritonError(str(error), code))


def fields_of(request: Any) -> Any:
    """The JSON of the tensor REQUEST. Raises InvalidArgument."""
    tensor = pb.get_input_tensor_by_name(request, "REQUEST").as_numpy()
    try:
        return json.loads(tensor.ravel()[0])
    except (ValueError, IndexError, RecursionError) as error:
        raise InvalidArgument(f"REQUEST is not JSON: {error}") from error


def pixels_of(request: Any, name: str) -> Pixels | None:
    """None where the client sent no such tensor."""
    tensor = pb.get_input_tensor_by_name(request, name)
    # Copied: the shared memory behind it is freed when execute returns.
    return None if tensor is None else np.array(tensor.as_numpy(), copy=True)


def _response(event: Event, name: str, pixels: Pixels | None) -> Any:
    tensors = [pb.Tensor("EVENT", np.array([json.dumps(event).encode()], dtype=object))]
    if pixels is not None:
        tensors.append(pb.Tensor(name, np.ascontiguousarray(pixels)))
    return pb.InferenceResponse(tensors)
