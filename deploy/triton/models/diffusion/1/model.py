"""Triton's face of the diffusion engine: tensors in, events and pictures out."""

import json
import logging
import os
import sys
import threading
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb

RUNTIME = Path(os.environ.get("TRITON_RUNTIME") or Path(__file__).resolve().parents[3] / "runtime")
STARTER = RUNTIME.parent / "starter/weights/diffusion"
sys.path.insert(0, str(RUNTIME))
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
# Their advice at import is for those who write programs, and their warnings quote prompts.
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")

from diffusion.errors import InvalidArgument, RequestError  # noqa: E402  the path is set above

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
    """One request's response stream."""

    def __init__(self, sender):
        self._sender = sender

    def cancelled(self):
        return self._sender.is_cancelled()

    def send(self, event, preview=None):
        self._sender.send(_response(event, "PREVIEW", preview))

    def finish(self, event, picture=None):
        self._sender.send(_response(event, "RESULT", picture), flags=FINAL)

    def fail(self, error):
        # Looked up now: Triton adds TritonError to its module only after this one is imported.
        code = getattr(pb.TritonError, CODES.get(error.reason, "INTERNAL"))
        response = pb.InferenceResponse(error=pb.TritonError(str(error), code))
        self._sender.send(response, flags=FINAL)


class TritonMeter:
    """The engine's counts as Triton metrics, `atelier_diffusion_*`; a name's part after "/" is its reason label."""

    def __init__(self, model):
        self._model = model
        self._families = {}
        self._metrics = {}
        self._lock = threading.Lock()

    def set(self, name, value):
        self._metric(name, pb.MetricFamily.GAUGE).set(value)

    def add(self, name, amount=1):
        self._metric(name, pb.MetricFamily.COUNTER).increment(amount)

    def _metric(self, name, kind):
        with self._lock:
            if name not in self._metrics:
                self._metrics[name] = self._new_metric(name, kind)
            return self._metrics[name]

    def _new_metric(self, name, kind):
        base, _, reason = name.partition("/")
        if base not in self._families:
            full = f"atelier_diffusion_{base}"
            self._families[base] = pb.MetricFamily(name=full, description=base.replace("_", " "), kind=kind)
        labels = {"model": self._model, **({"reason": reason} if reason else {})}
        return self._families[base].Metric(labels=labels)


class TritonPythonModel:
    def initialize(self, args):
        # Not at the head: Triton imports this file once more before, in a process that only completes the
        # configuration, and torch there would double the time until a killed model is back.
        from diffusion.engine import Engine
        from diffusion.loading import load_model
        from diffusion.settings import read_settings

        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
        declared = json.loads(args["model_config"]).get("parameters", {})
        parameters = {name: value["string_value"] for name, value in declared.items()}
        settings = read_settings(os.environ, parameters, default_model=STARTER)
        self._engine = Engine(load_model(settings), settings, TritonMeter(args["model_name"]))

    def execute(self, requests):
        for request in requests:
            sink = StreamSink(request.get_response_sender())
            try:
                image, mask = _pixels(request, "IMAGE"), _pixels(request, "MASK")
                self._engine.submit(_fields(request), sink, image=image, mask=mask)
            except RequestError as error:
                sink.fail(error)

    def finalize(self):
        self._engine.close()


def _fields(request):
    tensor = pb.get_input_tensor_by_name(request, "REQUEST").as_numpy()
    try:
        return json.loads(tensor.ravel()[0])
    except (ValueError, IndexError) as error:
        raise InvalidArgument(f"REQUEST is not JSON: {error}") from error


def _pixels(request, name):
    tensor = pb.get_input_tensor_by_name(request, name)
    # Copied: the shared memory behind it is freed when execute returns.
    return None if tensor is None else np.array(tensor.as_numpy(), copy=True)


def _response(event, name, pixels):
    tensors = [pb.Tensor("EVENT", np.array([json.dumps(event).encode()], dtype=object))]
    if pixels is not None:
        tensors.append(pb.Tensor(name, np.ascontiguousarray(pixels)))
    return pb.InferenceResponse(tensors)
