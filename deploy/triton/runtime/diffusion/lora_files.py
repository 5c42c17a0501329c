"""LoRA files: found, hashed, checked against the model, and kept in memory by content."""

import json
import logging
import re
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from artefacts import hash_file
from safetensors import SafetensorError, safe_open

from .errors import InvalidArgument, LoraHashMismatch, LoraNotFound, LoraUnsupported
from .families import Family
from .lora import Adapter, Applied, Delta
from .lora_keys import BIAS, DOWN, UP, Spelled, bare_settings, changes_text_encoder, families_of, spell_out
from .request import LoraUse

log = logging.getLogger(__name__)
NAMED = 3
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
    weights, settings = _load(path)
    _refuse_other_kinds(path, weights)
    spelled = _spelled(path, weights, family)
    scales = _Scales(spelled.alphas, settings)
    deltas = {layer: _delta(path, layer, found, scales, family) for layer, found in spelled.parts.items()}
    return Adapter(sha256, deltas)


def _load(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The file's tensors, and the settings that diffusers keeps in its metadata."""
    try:
        with safe_open(path, framework="pt") as file:
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  no mapping
            told = (file.metadata() or {}).get("lora_adapter_metadata", "{}")
        settings = json.loads(told)
    except (SafetensorError, OSError, ValueError) as error:
        raise LoraUnsupported(f"{path.name} is not a safetensors file: {_short(error)}") from error
    return weights, bare_settings(settings) if isinstance(settings, dict) else {}


def _refuse_other_kinds(path: Path, weights: Mapping[str, torch.Tensor]) -> None:
    if not weights:
        raise LoraUnsupported(f"{path.name} is empty")
    if other := [key for key in weights if OTHER_KINDS.search(key)]:
        raise LoraUnsupported(f"{path.name} is not a plain LoRA ({_named(other)})")
    if changes_text_encoder(weights):
        raise LoraUnsupported(f"{path.name} also changes the text encoder, which is not supported")


def _spelled(path: Path, weights: dict[str, torch.Tensor], family: Family) -> Spelled:
    """By the table of spellings; else as diffusers' converters make it, which know fused and renamed layers."""
    own = spell_out(weights, family.network)
    if not own.unknown:
        return own
    try:
        converted, alphas = family.convert_lora(dict(weights))
        made = spell_out(converted, family.network)
    except Exception as error:  # they raise anything on a file they do not know
        log.info("diffusers cannot convert a LoRA file: %s", type(error).__name__)
        raise LoraUnsupported(_misfit(path, weights, own.unknown, family)) from error
    if made.unknown or not made.parts:
        raise LoraUnsupported(_misfit(path, weights, own.unknown, family))
    made.alphas.update(spell_out(alphas, family.network).alphas)
    return made


def _misfit(path: Path, weights: Iterable[str], unknown: Sequence[str], family: Family) -> str:
    kinds = families_of(weights)
    if kinds and family.name not in kinds:
        return f"{path.name} is for another family of models ({' or '.join(sorted(kinds))}): {_named(unknown)}"
    return f"{path.name} does not fit this model: it has no layer for {_named(unknown)}"


def _delta(path: Path, name: str, found: dict[str, torch.Tensor], scales: "_Scales", family: Family) -> Delta:
    layer = family.network.get_submodule(name)
    down, up, bias = found.get(DOWN), found.get(UP), found.get(BIAS)
    if down is None or up is None:
        raise LoraUnsupported(f"{path.name} has only one half of the layer {name}")
    if not _fits(layer, down, up):
        shapes = f"{list(down.shape)} and {list(up.shape)}"
        raise LoraUnsupported(f"{path.name} is for another model: {shapes} do not fit the layer {name}")

    def place(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(family.device, family.dtype)

    scale = scales.of(name, down.shape[0])
    return Delta(place(down), place(up), scale, None if bias is None else place(bias))


def _fits(layer: torch.nn.Module, down: torch.Tensor, up: torch.Tensor) -> bool:
    if not isinstance(layer, (torch.nn.Linear, torch.nn.Conv2d)) or down.shape[0] != up.shape[1]:
        return False
    if isinstance(layer, torch.nn.Linear):
        return (up.shape[0], down.shape[1]) == tuple(layer.weight.shape) and down.ndim == up.ndim == 2
    return layer.groups == 1 and up.shape[0] == layer.out_channels and down.shape[1:] == layer.weight.shape[1:]


class _Scales:
    """alpha / rank per layer, from the file's alpha entries, else its metadata, else 1, as peft has it."""

    def __init__(self, alphas: Mapping[str, float], settings: Mapping[str, Any]) -> None:
        self._alphas = alphas
        self._settings = settings
        self._common = Counter(alphas.values()).most_common(1)

    def of(self, layer: str, rank: int) -> float:
        if self._common:
            return self._alphas.get(layer, self._common[0][0]) / rank
        alpha = float(self._settings.get("lora_alpha", rank))
        for pattern, value in (self._settings.get("alpha_pattern") or {}).items():
            if re.fullmatch(rf"(.*\.)?({pattern})", layer):
                alpha = float(value)
        return alpha / (rank**0.5 if self._settings.get("use_rslora") else rank)


def _named(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - NAMED} more" if len(keys) > NAMED else ""
    return ", ".join(key[:200] for key in keys[:NAMED]) + more


def _short(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
