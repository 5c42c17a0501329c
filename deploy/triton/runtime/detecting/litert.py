"""A `.tflite` network: square pictures in, arrays out."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from failures import ModelFailed
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


class Network:
    """Safe to call from several threads, which take turns. `size` is the side of the square it takes."""

    def __init__(self, path: Path, threads: int) -> None:
        """Raises ModelFailed when the file cannot be read."""
        try:
            self._interpreter = Interpreter(str(path), num_threads=threads)
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise ModelFailed(f"LiteRT cannot read {path}: {error}") from error
        [taken] = self._interpreter.get_input_details()
        self._input = taken["index"]
        self._outputs = [told["index"] for told in self._interpreter.get_output_details()]
        self._turn = threading.Lock()
        self.size = int(taken["shape"][1])

    def run(self, square: Array) -> list[Array]:
        """Float `[size, size, 3]` in the range it was trained on. Raises ModelFailed."""
        with self._turn:
            self._interpreter.set_tensor(self._input, square[None].astype(np.float32, copy=False))
            self._interpreter.invoke()
            answers = [np.array(self._interpreter.get_tensor(index)) for index in self._outputs]
        if not all(np.isfinite(answer).all() for answer in answers):
            raise ModelFailed("the network answered no numbers")
        return answers


def sigmoid(logits: Array) -> Array:
    values: Array = 1 / (1 + np.exp(-np.clip(logits, -60, 60)))
    return values
