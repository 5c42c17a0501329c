"""Triton's face of the diffusion engine: tensors in, events and pictures out."""

import json
import logging
import os
import sys
import threading
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb

RUNTIME = Path(os.environ.get("TRITON_RUNTIME") or Path(__file__).resolve().parents[3] / "runtime")
STARTER = RUNTIME.parent / "starter/weights/diffusion"
sys.path.insert(0, str(RUNTIME))
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
# Their advice at import is for those who write programs, and their warnings quote prompts.
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")

from failures import RequestError  # noqa: E402  the path is set above
from triton_streams import StreamSink, fields_of, pixels_of  # noqa: E402


class TritonMeter:
    """The engine's counts as Triton metrics, `atelier_diffusion_*`; a name's part after "/" is its reason label."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._families: dict[str, Any] = {}
        self._metrics: dict[str, Any] = {}
        self._lock = threading.Lock()

    def set(self, name: str, value: float) -> None:
        self._metric(name, pb.MetricFamily.GAUGE).set(value)

    def add(self, name: str, amount: float = 1) -> None:
        self._metric(name, pb.MetricFamily.COUNTER).increment(amount)

    def _metric(self, name: str, kind: Any) -> Any:
        with self._lock:
            if name not in self._metrics:
                self._metrics[name] = self._new_metric(name, kind)
            return self._metrics[name]

    def _new_metric(self, name: str, kind: Any) -> Any:
        base, _, reason = name.partition("/")
        if base not in self._families:
            full = f"atelier_diffusion_{base}"
            self._families[base] = pb.MetricFamily(name=full, description=base.replace("_", " "), kind=kind)
        labels = {"model": self._model, **({"reason": reason} if reason else {})}
        return self._families[base].Metric(labels=labels)


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
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

    def execute(self, requests: list[Any]) -> None:
        for request in requests:
            sink = StreamSink(request.get_response_sender(), "PREVIEW")
            try:
                image, mask = pixels_of(request, "IMAGE"), pixels_of(request, "MASK")
                self._engine.submit(fields_of(request), sink, image=image, mask=mask)
            except RequestError as error:
                sink.fail(error)

    def finalize(self) -> None:
        self._engine.close()
