"""An `.onnx` network on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from failures import ModelFailed
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


class Network:
    """One array in, one out; safe to call from several threads."""

    def __init__(self, path: Path, threads: int) -> None:
        """Raises ModelFailed when the file cannot be read."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # The pictures' sizes differ: an arena would keep what the largest of them took.
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own exceptions share no public base class
            raise ModelFailed(f"{path} cannot be loaded: {str(error)[:200]}") from error
        self._input = self._session.get_inputs()[0].name

    @property
    def notes(self) -> dict[str, str]:
        """What the file says of itself."""
        found: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        return found

    def run(self, batch: Array) -> Array:
        """Raises ModelFailed."""
        [answer] = self._session.run(None, {self._input: batch})
        if not np.isfinite(answer).all():
            raise ModelFailed("the network answered no numbers")
        return np.asarray(answer, np.float32)
