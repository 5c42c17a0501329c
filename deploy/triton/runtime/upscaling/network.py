"""Real-ESRGAN x4plus run by ncnn: a tile in, the tile at four times its size out."""

from __future__ import annotations

import ctypes
from typing import Any, Protocol

import ncnn
import numpy as np
from artefacts import Artefact, registry
from failures import ModelFailed

from .resampling import Array
from .settings import Settings

NAME = "realesrgan-x4plus"
FACTOR = 4
LEAST_SIDE = 16
"""Smaller tiles are carried on at their edges: the network has little to go by in fewer pixels."""


class Network(Protocol):
    @property
    def card(self) -> dict[str, str]: ...

    @property
    def served(self) -> dict[str, str]:
        """What the registry says of it."""
        ...

    def enlarge(self, tile: Array) -> Array:
        """Float RGB `[H, W, 3]`, 0 to 255, to `[4H, 4W, 3]`. Raises ModelFailed."""
        ...


class RealEsrgan:
    """Safe to call from several threads."""

    def __init__(self, net: Any, artefact: Artefact) -> None:
        self._net = net
        self.card = {"name": artefact.name, "sha256": artefact.sha256, "licence": artefact.licence}
        self.served = artefact.served()
        self._input, self._output = net.input_names()[0], net.output_names()[0]

    @classmethod
    def load(cls, settings: Settings) -> RealEsrgan:
        """Raises ArtefactRefused when a file is missing or not the registry's, ModelFailed when ncnn cannot read it."""
        artefact = registry()[NAME]
        paths = artefact.verified(settings.artefacts)
        net = ncnn.Net()
        net.opt.use_vulkan_compute = settings.device == "gpu" or (settings.device == "auto" and _has_vulkan())
        if settings.threads:
            net.opt.num_threads = settings.threads
        if net.load_param(str(paths[f"{NAME}.param"])) or net.load_model(str(paths[f"{NAME}.bin"])):
            raise ModelFailed(f"ncnn cannot read {paths[f'{NAME}.param'].parent}")
        return cls(net, artefact)

    def enlarge(self, tile: Array) -> Array:
        height, width, _ = tile.shape
        more = ((0, max(LEAST_SIDE - height, 0)), (0, max(LEAST_SIDE - width, 0)), (0, 0))
        # Kept in a name: ncnn reads the very memory.
        planes = np.ascontiguousarray(np.pad(tile, more, mode="edge").transpose(2, 0, 1) / np.float32(255))
        extractor = self._net.create_extractor()
        extractor.input(self._input, ncnn.Mat(planes))
        code, answer = extractor.extract(self._output)
        made = np.array(answer)
        if code or made.shape != (3, planes.shape[1] * FACTOR, planes.shape[2] * FACTOR):
            raise ModelFailed(f"ncnn answered {code} and {made.shape}")
        if not np.isfinite(made).all():
            raise ModelFailed("the network answered no numbers")
        large: Array = made.transpose(1, 2, 0)[: height * FACTOR, : width * FACTOR] * np.float32(255)
        return large


def _has_vulkan() -> bool:
    """A loader and a device; ncnn complains in many lines where there is no loader."""
    try:
        ctypes.CDLL("libvulkan.so.1")
    except OSError:
        return False
    return bool(ncnn.get_gpu_count())
