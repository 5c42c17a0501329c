"""Triton's Python backend entry for matting: tensors in, tensors out; the work is in the package `matting`."""

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

logger = logging.getLogger("segmentation")
CALLERS_FAULT = {"INVALID_IMAGE", "IMAGE_TOO_LARGE", "INVALID_REQUEST", "MATTE_MODEL_MISSING"}


def runtime_folder() -> str:
    """Where the package `matting` lies: beside the model repository unless TRITON_RUNTIME says otherwise."""
    return os.environ.get("TRITON_RUNTIME") or str(Path(__file__).resolve().parents[3] / "runtime")


class TritonPythonModel:
    """One matte per request; a bad request fails alone."""

    def initialize(self, args: dict[str, str]) -> None:
        sys.path.insert(0, runtime_folder())
        import matting

        self.matting = matting
        self.matter = matting.Matter.from_settings(matting.Settings.from_environment(os.environ))

    def execute(self, requests: list[Any]) -> list[Any]:
        return [self.answer(request) for request in requests]

    def answer(self, request: Any) -> Any:
        try:
            cut = self.matter.cut(read_image(request), self.matting.MattingRequest.parse(read_text(request, "REQUEST")))
        except self.matting.MattingError as error:
            return failure(f"{error.reason}: {error}", callers=error.reason in CALLERS_FAULT)
        except Exception:
            logger.exception("matting failed")
            return failure("INTERNAL: matting failed; the server's log has the trace")
        info = np.array([json.dumps(cut.info).encode()], dtype=np.object_)
        return pb_utils.InferenceResponse([pb_utils.Tensor("MATTE", cut.matte), pb_utils.Tensor("INFO", info)])


def read_image(request: Any) -> Any:
    return pb_utils.get_input_tensor_by_name(request, "IMAGE").as_numpy()


def read_text(request: Any, name: str) -> str:
    """The string tensor's first element, or an empty string where the caller left it out."""
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    if tensor is None or tensor.as_numpy().size == 0:
        return ""
    value = tensor.as_numpy().reshape(-1)[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def failure(message: str, callers: bool = False) -> Any:
    code = pb_utils.TritonError.INVALID_ARG if callers else pb_utils.TritonError.INTERNAL
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))
