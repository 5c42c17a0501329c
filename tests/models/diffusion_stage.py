"""A stage for diffusion tests: engines over tiny models, and clients that record what they are sent."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import families
import numpy as np
import torch
from diffusers import DiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from diffusion.engine import Engine
from diffusion.loading import load_model
from diffusion.ports import Tally
from diffusion.settings import Settings
from safetensors.torch import save_file
from transformers.utils import logging as transformers_logging

for library in (diffusers_logging, transformers_logging):
    library.set_verbosity_error()
    library.disable_progress_bar()

PROMPT = "a red mug"
SIDE = 64
_kept = TemporaryDirectory()
DIRECTORY = Path(_kept.name)
ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")


class Client:
    """A sink that records; `on_step` runs in the worker thread with the number of the step."""

    def __init__(self, on_step: Callable[[int], None] | None = None) -> None:
        self.events: list[dict[str, Any]] = []
        self.previews: list[Any] = []
        self.picture: Any = None
        self.error: Any = None
        self.gone = False
        self._on_step = on_step
        self._ended = threading.Event()

    def cancelled(self) -> Any:
        return self.gone

    def send(self, event: dict[str, Any], preview: Any = None) -> None:
        assert not self._ended.is_set()
        self.events.append(event)
        self.previews.append(preview)
        if self._on_step:
            self._on_step(event["step"])

    def finish(self, event: dict[str, Any], picture: Any = None) -> None:
        self.events.append(event)
        self.picture = picture
        self._ended.set()

    def fail(self, error: Any) -> None:
        self.error = error
        self._ended.set()

    def wait(self) -> Any:
        assert self._ended.wait(60), "no answer within a minute"
        return self

    @property
    def steps(self) -> Any:
        return [event for event in self.events if event["event"] == "step"]

    @property
    def batches(self) -> Any:
        return [event["batch"] for event in self.steps]

    @property
    def result(self) -> Any:
        assert self.error is None, self.error
        return self.events[-1]


class Stage(Engine):
    """An engine with a shorter way to ask."""

    def ask(self, client: Client | None = None, *, image: Any = None, mask: Any = None, **fields: Any) -> Any:
        client = client or Client()
        self.submit(request(**fields), client, image=image, mask=mask)
        return client

    def draw(self, **options: Any) -> Any:
        client = self.ask(**options).wait()
        assert client.error is None, client.error
        return client.picture

    @property
    def tally(self) -> dict[str, float]:
        assert isinstance(self._meter, Tally)
        return self._meter.values


def request(**fields: Any) -> Any:
    return {"prompt": PROMPT, "width": SIDE, "height": SIDE, "steps": 4, "guidance": 3.0, "seed": 5} | fields


@cache
def directory(name: str, **options: Any) -> Path:
    return families.build(name, DIRECTORY / ("".join(options) or "plain"), **options)


@cache
def loaded(name: str) -> Any:
    return load_model(Settings(directory(name)))


def open_stage(model: Any, **settings: Any) -> Stage:
    if isinstance(model, str):
        model = loaded(model)
    return Stage(model, replace(Settings(DIRECTORY), **settings), Tally())


@cache
def pipeline(name: str) -> Any:
    """Diffusers' own pipeline of the same directory.

    In the engine's memory layout: another one sums in another order, and now and then a pixel is off by one.
    """
    pipe = load_pipeline(directory(name))
    if hasattr(pipe, "unet"):
        pipe.unet.to(memory_format=torch.channels_last)
    return pipe


def load_pipeline(path: Path) -> Any:
    pipe = DiffusionPipeline.from_pretrained(str(path), dtype=torch.float32, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def draw_with(pipe: Any, **options: Any) -> Any:
    """What diffusers draws for `request()`, as uint8 [H, W, 3]."""
    if hasattr(pipe, "transformer"):
        options = {"max_sequence_length": 32} | options
    options = {"prompt": PROMPT, "num_inference_steps": 4, "guidance_scale": 3.0, "output_type": "np"} | options
    if "image" not in options or hasattr(pipe, "transformer"):
        options = {"width": SIDE, "height": SIDE} | options
    seed = options.pop("seed", 5)
    drawn = pipe(**options, generator=torch.Generator().manual_seed(seed)).images[0]
    return (drawn * 255).round().astype(np.uint8)


def distance(one: Any, other: Any) -> int:
    return int(np.abs(one.astype(int) - other.astype(int)).max())


def photo(height: int = SIDE, width: int = SIDE) -> Any:
    """A smooth coloured picture, [H, W, 3]."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([255 * y / height, 255 * x / width, 128 + 0 * x], axis=-1).astype(np.uint8)


def write_lora(
    name: str,
    path: Path,
    *,
    seed: int = 1,
    rank: int = 4,
    layers: Iterable[str] = ATTENTION,
    strength: float = 0.3,
    **metadata: Any,
) -> Any:
    """A LoRA file of random weights for the family `name`, in diffusers' key names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = lora_weights(name, seed=seed, rank=rank, layers=layers, strength=strength)
    prefix = "unet" if hasattr(loaded(name).family.pipe, "unet") else "transformer"
    save_file({f"{prefix}.{key}": value for key, value in weights.items()}, path, metadata=metadata or None)
    return str(path)


def lora_weights(name: str, *, seed: int, rank: int, layers: Iterable[str], strength: float) -> Any:
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for layer, module in loaded(name).family.network.named_modules():
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)) and layer.endswith(tuple(layers)):
            shape = module.weight.shape
            up = (shape[0], rank, *[1] * (len(shape) - 2))
            weights[f"{layer}.lora_A.weight"] = torch.randn((rank, *shape[1:]), generator=generator) * strength
            weights[f"{layer}.lora_B.weight"] = torch.randn(up, generator=generator) * strength
    return weights
