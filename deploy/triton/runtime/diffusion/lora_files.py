"""LoRA files: found, hashed, checked against the model, and kept in memory by content."""

import re
import threading
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import torch
from diffusers.utils.state_dict_utils import convert_unet_state_dict_to_peft
from safetensors import SafetensorError, safe_open

from .card import hash_file
from .errors import InvalidArgument, LoraHashMismatch, LoraNotFound, LoraUnsupported
from .families import Family
from .lora import Adapter, Applied, Delta
from .request import LoraUse

PART = re.compile(r"(?P<layer>.+)\.(?P<part>lora_A\.weight|lora_B\.weight|lora_B\.bias)$")
OTHER_KINDS = re.compile(r"dora_scale|lora_magnitude_vector|hada_|lokr_|oft_|\.diff(_b)?$")


class LoraFiles:
    """The adapters last used; safe between threads."""

    def __init__(self, family: Family, *, keep: int, root: Path | None = None) -> None:
        self._family = family
        self._keep = keep
        self._root = root.resolve() if root else None
        self._adapters: OrderedDict[str, Adapter] = OrderedDict()
        self._hashes: dict[tuple[str, int, int, int], str] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._adapters)

    def fetch(self, use: LoraUse) -> Applied:
        """Raises LoraNotFound, LoraHashMismatch, LoraUnsupported or InvalidArgument (outside the root)."""
        path = self._locate(use.path)
        sha256 = self._hash(path)
        if use.sha256 not in (None, sha256):
            raise LoraHashMismatch(f"{path.name} has the hash {sha256}, not {use.sha256}")
        with self._lock:
            adapter = self._adapters.get(sha256)
        if adapter is None:
            adapter = read_adapter(path, sha256, self._family)
        with self._lock:
            self._adapters[sha256] = adapter
            self._adapters.move_to_end(sha256)
            while len(self._adapters) > self._keep:
                self._adapters.popitem(last=False)
        return Applied(adapter, use.weight)

    def _locate(self, name: str) -> Path:
        path = Path(name)
        if self._root is not None:
            path = (self._root / path).resolve()
            if not path.is_relative_to(self._root):
                raise InvalidArgument(f"the LoRA path {name!r} is outside the LoRA folder")
        if not path.is_file():
            # Checked here because diffusers would ask the hub for a name that is no file.
            raise LoraNotFound(f"no LoRA file {name!r}")
        if path.suffix != ".safetensors":
            raise LoraUnsupported(f"{path.name} is not a .safetensors file")
        return path

    def _hash(self, path: Path) -> str:
        """Hashed once per content: the key changes whenever the file does."""
        stat = path.stat()
        key = (str(path), stat.st_size, stat.st_mtime_ns, stat.st_ino)
        if key not in self._hashes:
            self._hashes[key] = hash_file(path)
        return self._hashes[key]


def read_adapter(path: Path, sha256: str, family: Family) -> Adapter:
    """Raises LoraUnsupported unless every tensor of the file fits a layer of the family's network."""
    _refuse_other_kinds(path)
    try:
        weights, alphas, metadata = family.read_lora(path)
    except Exception as error:  # the converters of diffusers raise anything on a file they do not know
        raise LoraUnsupported(f"{path.name} cannot be read as a LoRA of {family.name}: {_short(error)}") from error
    prefix = "unet." if hasattr(family.pipe, "unet") else "transformer."
    parts = _parts(path, weights, prefix)
    scales = _Scales(alphas, metadata, prefix)
    deltas = {layer: _delta(path, layer, found, scales.of(layer, found), family) for layer, found in parts.items()}
    return Adapter(sha256, deltas)


def _refuse_other_kinds(path: Path) -> None:
    try:
        with safe_open(path, framework="pt") as file:
            keys = list(file.keys())
    except (SafetensorError, OSError) as error:
        raise LoraUnsupported(f"{path.name} is not a safetensors file: {_short(error)}") from error
    if other := next((key for key in keys if OTHER_KINDS.search(key)), None):
        raise LoraUnsupported(f"{path.name} is not a plain LoRA ({other})")


def _parts(path: Path, weights: dict[str, Any], prefix: str) -> dict[str, dict[str, torch.Tensor]]:
    if any(key.startswith("text_encoder") for key in weights):
        raise LoraUnsupported(f"{path.name} also changes the text encoder, which is not supported")
    stray = next((key for key in weights if not key.startswith(prefix)), None)
    if stray is not None or not weights:
        raise LoraUnsupported(f"{path.name} is for another family of models ({stray or 'it is empty'})")
    bare = {key.removeprefix(prefix): value for key, value in weights.items()}
    if not any("lora_A" in key for key in bare):
        bare = convert_unet_state_dict_to_peft(bare)
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for key, value in bare.items():
        match = PART.match(key)
        if match is None:
            raise LoraUnsupported(f"{path.name} is not a plain LoRA ({key})")
        parts.setdefault(match["layer"], {})[match["part"]] = value
    return parts


def _delta(path: Path, name: str, found: dict[str, torch.Tensor], scale: float, family: Family) -> Delta:
    try:
        layer = family.network.get_submodule(name)
    except AttributeError:
        raise LoraUnsupported(f"{path.name} is for another model: there is no layer {name}") from None
    down, up = found.get("lora_A.weight"), found.get("lora_B.weight")
    if down is None or up is None or not _fits(layer, down, up):
        raise LoraUnsupported(f"{path.name} is for another model: it does not fit the layer {name}")
    bias = found.get("lora_B.bias")

    def place(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(family.device, family.dtype)

    return Delta(place(down), place(up), scale, None if bias is None else place(bias))


def _fits(layer: torch.nn.Module, down: torch.Tensor, up: torch.Tensor) -> bool:
    if not isinstance(layer, (torch.nn.Linear, torch.nn.Conv2d)) or down.shape[0] != up.shape[1]:
        return False
    if isinstance(layer, torch.nn.Linear):
        return (up.shape[0], down.shape[1]) == tuple(layer.weight.shape) and down.ndim == up.ndim == 2
    return layer.groups == 1 and up.shape[0] == layer.out_channels and down.shape[1:] == layer.weight.shape[1:]


class _Scales:
    """alpha / rank per layer, from the file's alpha entries, else its metadata, else 1, as peft has it."""

    def __init__(self, alphas: dict[str, Any], metadata: dict[str, Any], prefix: str) -> None:
        self._alphas = {key.removeprefix(prefix).removesuffix(".alpha"): float(a) for key, a in alphas.items()}
        self._metadata = {key.removeprefix(prefix): value for key, value in metadata.items()}
        self._common = Counter(self._alphas.values()).most_common(1)

    def of(self, layer: str, found: dict[str, torch.Tensor]) -> float:
        rank = found["lora_A.weight"].shape[0] if "lora_A.weight" in found else 1
        if self._common:
            return self._alphas.get(layer, self._common[0][0]) / rank
        alpha = float(self._metadata.get("lora_alpha", rank))
        for pattern, value in (self._metadata.get("alpha_pattern") or {}).items():
            if re.fullmatch(rf"(.*\.)?({pattern})", layer):
                alpha = float(value)
        return alpha / (rank**0.5 if self._metadata.get("use_rslora") else rank)


def _short(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
