"""How trainers spell the keys of a LoRA file: one table, and which layer and part each key means."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

DOWN, UP, BIAS, ALPHA = "down", "up", "bias", "alpha"
# How a key ends, and what then stands before it; "(name)" is an adapter's own name, which peft writes on request.
ENDINGS: tuple[tuple[str, str, str], ...] = (
    ("peft, diffusers", r"\.lora_A(?:\.[^.]+)?\.weight", DOWN),
    ("peft, diffusers", r"\.lora_B(?:\.[^.]+)?\.weight", UP),
    ("peft, diffusers", r"\.lora_B(?:\.[^.]+)?\.bias", BIAS),
    ("diffusers before 0.22", r"[._]lora\.down\.weight", DOWN),
    ("diffusers before 0.22", r"[._]lora\.up\.weight", UP),
    ("diffusers before 0.22", r"\.lora_linear_layer\.down\.weight", DOWN),
    ("diffusers before 0.22", r"\.lora_linear_layer\.up\.weight", UP),
    ("kohya", r"\.lora_down\.weight", DOWN),
    ("kohya", r"\.lora_up\.weight", UP),
    ("kohya", r"\.alpha", ALPHA),
)
# What may stand before a layer's name, one after the other.
PREFIXES = ("base_model.model.", "diffusion_model.", "unet.", "transformer.")
# Kohya's names hold underscores instead of dots.
FLAT_PREFIXES = ("lora_unet_", "lora_transformer_")
TEXT_ENCODERS = re.compile(r"(base_model\.model\.)?(text_encoder|text_model|lora_te|te[123]?\.)")
# Which families have layers of such names.
SIGNATURES: tuple[tuple[re.Pattern[str], frozenset[str]], ...] = (
    (re.compile(r"single_transformer_blocks|single_blocks|double_blocks"), frozenset({"flux"})),
    (re.compile(r"joint_blocks"), frozenset({"sd3"})),
    (re.compile(r"transformer_blocks[._]\d+[._]attn[._]"), frozenset({"sd3", "flux"})),
    (re.compile(r"(down|up|mid|input|output|middle)_blocks?[._]"), frozenset({"sd", "sdxl"})),
)
_ENDINGS = tuple((re.compile(ending + "$"), part) for _, ending, part in ENDINGS)


@dataclass
class Spelled:
    """`parts` by layer, and the keys that mean none; alphas by layer."""

    parts: dict[str, dict[str, torch.Tensor]] = field(default_factory=dict)
    alphas: dict[str, float] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)


def spell_out(weights: Mapping[str, torch.Tensor], network: torch.nn.Module) -> Spelled:
    """Every key by the table, against the layers that the network has."""
    layers = {name for name, _ in network.named_modules()}
    flat = {name.replace(".", "_"): name for name in layers}
    found = Spelled()
    for key, value in weights.items():
        layer, part = _read(key, layers, flat)
        if layer is None:
            found.unknown.append(key)
        elif part == ALPHA:
            found.alphas[layer] = float(value)
        else:
            found.parts.setdefault(layer, {})[part] = value
    return found


def changes_text_encoder(keys: Iterable[str]) -> bool:
    return any(TEXT_ENCODERS.match(key) for key in keys)


def families_of(keys: Iterable[str]) -> frozenset[str]:
    """The families whose layers these keys name; none where nothing is known of such names."""
    whole = "\n".join(keys)
    return next((families for pattern, families in SIGNATURES if pattern.search(whole)), frozenset())


def bare_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Peft's settings of the network's own adapter, as diffusers writes them into a file's metadata."""
    prefixes = tuple(prefix for prefix in PREFIXES if prefix.count(".") == 1)
    return {_without(key, prefixes): value for key, value in settings.items()}


def _read(key: str, layers: set[str], flat: Mapping[str, str]) -> tuple[str | None, str]:
    for pattern, part in _ENDINGS:
        if match := pattern.search(key):
            return _layer(key[: match.start()], layers, flat), part
    return None, ""


def _layer(spelled: str, layers: set[str], flat: Mapping[str, str]) -> str | None:
    bare = _without(spelled, PREFIXES)
    # Attention processors of their own held the layers' changes once.
    for name in (bare, bare.replace(".processor.", ".")):
        for layer in (f"{name}.0" if name.endswith(".to_out") else name, name):
            if layer in layers:
                return layer
    return flat.get(_without(bare, FLAT_PREFIXES))


def _without(name: str, prefixes: Iterable[str]) -> str:
    for prefix in prefixes:
        name = name.removeprefix(prefix)
    return name
