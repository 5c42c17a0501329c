"""A validated request for one picture."""

import math
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import InvalidArgument
from .ports import Pixels

FIELDS = frozenset(
    {"prompt", "negative_prompt", "width", "height", "steps", "guidance", "seed", "strength", "loras"}
    | {"preview_every", "report_every_ms", "exact", "variation_seed", "variation"}
)
LORA_FIELDS = frozenset({"path", "weight", "sha256"})
MAX_PROMPT = 4_000
MAX_GUIDANCE = 30.0
MAX_WEIGHT = 10.0
MAX_SEED = 2**64 - 1
MAX_SILENCE_MS = 10_000
MAX_IMAGE_PIXELS = 64 * 2**20


@dataclass(frozen=True)
class Limits:
    """What a loaded model takes, and its defaults; sizes in pixels."""

    width: int
    height: int
    multiple_of: int
    steps: int
    guidance: float
    max_pixels: int
    max_steps: int = 150
    max_loras: int = 8


@dataclass(frozen=True)
class LoraUse:
    path: str
    weight: float = 1.0
    sha256: str | None = None


@dataclass(frozen=True, eq=False)
class Request:
    """`image` is RGB [H, W, 3], `mask` [H, W] with 255 where to paint; of any size.

    `chose_guidance`: the client did, not the model. `variation` (0 to 1) is how far the noise lies on the way from
    that of `seed` to that of `variation_seed`.
    """

    prompt: str
    width: int
    height: int
    steps: int
    guidance: float
    seed: int
    negative_prompt: str = ""
    strength: float = 1.0
    loras: tuple[LoraUse, ...] = ()
    preview_every: int = 1
    report_every_ms: int = 0
    exact: bool = False
    chose_guidance: bool = False
    variation_seed: int = 0
    variation: float = 0.0
    image: Pixels | None = field(default=None, repr=False)
    mask: Pixels | None = field(default=None, repr=False)


def parse_request(
    fields: Mapping[str, Any], limits: Limits, *, image: Pixels | None = None, mask: Pixels | None = None
) -> Request:
    """Raises InvalidArgument, naming the field."""
    _refuse_unknown(fields, FIELDS, "")
    _check_pictures(image, mask)
    width = _size(fields, "width", limits.width, limits)
    height = _size(fields, "height", limits.height, limits)
    if width * height > limits.max_pixels:
        raise InvalidArgument(f"width times height is {width * height}, more than {limits.max_pixels}")
    return Request(
        prompt=_text(fields, "prompt", needed=True),
        negative_prompt=_text(fields, "negative_prompt"),
        width=width,
        height=height,
        steps=_integer(fields, "steps", limits.steps, 1, limits.max_steps),
        guidance=_number(fields, "guidance", limits.guidance, 0.0, MAX_GUIDANCE),
        seed=_integer(fields, "seed", None, 0, MAX_SEED),
        strength=_strength(fields, image),
        loras=_loras(fields, limits),
        preview_every=_integer(fields, "preview_every", 1, 0, limits.max_steps),
        report_every_ms=_integer(fields, "report_every_ms", 0, 0, MAX_SILENCE_MS),
        exact=_flag(fields, "exact"),
        chose_guidance=fields.get("guidance") is not None,
        variation_seed=_integer(fields, "variation_seed", 0, 0, MAX_SEED),
        variation=_number(fields, "variation", 0.0, 0.0, 1.0),
        image=image,
        mask=mask,
    )


def _refuse_unknown(fields: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    if not isinstance(fields, Mapping):
        raise InvalidArgument(f"{where or 'REQUEST'} must be a JSON object")
    if unknown := sorted(set(fields) - known):
        raise InvalidArgument(f"unknown field {where}{unknown[0]}")


def _check_pictures(image: Pixels | None, mask: Pixels | None) -> None:
    if image is not None and (image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape):
        raise InvalidArgument(f"IMAGE must be [H, W, 3], not {list(image.shape)}")
    if image is not None and image.shape[0] * image.shape[1] > MAX_IMAGE_PIXELS:
        raise InvalidArgument(f"IMAGE has more than {MAX_IMAGE_PIXELS} pixels")
    if mask is None:
        return
    if image is None:
        raise InvalidArgument("MASK needs IMAGE")
    if mask.shape != image.shape[:2]:
        raise InvalidArgument(f"MASK is {list(mask.shape)}, IMAGE {list(image.shape[:2])}")


def _text(fields: Mapping[str, Any], name: str, *, needed: bool = False) -> str:
    value = fields.get(name)
    if value is None and not needed:
        return ""
    if not isinstance(value, str):
        raise InvalidArgument(f"{name} must be a text")
    if len(value) > MAX_PROMPT:
        raise InvalidArgument(f"{name} has {len(value)} characters, more than {MAX_PROMPT}")
    if needed and not value.strip():
        raise InvalidArgument(f"{name} is blank")
    return value


def _flag(fields: Mapping[str, Any], name: str) -> bool:
    value = fields.get(name, False)
    if not isinstance(value, bool):
        raise InvalidArgument(f"{name} must be true or false")
    return value


def _number(fields: Mapping[str, Any], name: str, default: float, least: float, most: float) -> float:
    value = fields.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InvalidArgument(f"{name} must be a number")
    if not least <= value <= most:
        raise InvalidArgument(f"{name} must lie between {least:g} and {most:g}")
    return float(value)


def _integer(fields: Mapping[str, Any], name: str, default: int | None, least: int, most: int) -> int:
    value = fields.get(name)
    if value is None:
        return secrets.randbelow(2**32) if default is None else default
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidArgument(f"{name} must be a whole number")
    if not least <= value <= most:
        raise InvalidArgument(f"{name} must lie between {least} and {most}")
    return value


def _size(fields: Mapping[str, Any], name: str, default: int, limits: Limits) -> int:
    value = _integer(fields, name, default, limits.multiple_of, limits.max_pixels)
    if value % limits.multiple_of:
        raise InvalidArgument(f"{name} must be a multiple of {limits.multiple_of}, not {value}")
    return value


def _strength(fields: Mapping[str, Any], image: Pixels | None) -> float:
    if image is None and fields.get("strength") is not None:
        raise InvalidArgument("strength needs IMAGE")
    strength = _number(fields, "strength", 0.75 if image is not None else 1.0, 0.0, 1.0)
    if strength == 0:
        raise InvalidArgument("strength must be above 0")
    return strength


def _loras(fields: Mapping[str, Any], limits: Limits) -> tuple[LoraUse, ...]:
    items = fields.get("loras") or []
    if not isinstance(items, list) or len(items) > limits.max_loras:
        raise InvalidArgument(f"loras must be a list of at most {limits.max_loras}")
    return tuple(_lora(item, f"loras[{at}].") for at, item in enumerate(items))


def _lora(item: Any, where: str) -> LoraUse:
    _refuse_unknown(item, LORA_FIELDS, where)
    path, sha256 = item.get("path"), item.get("sha256")
    if not isinstance(path, str) or not path or "\0" in path:
        raise InvalidArgument(f"{where}path must name a file")
    if sha256 is not None and not (isinstance(sha256, str) and re.fullmatch(r"[0-9a-fA-F]{64}", sha256)):
        raise InvalidArgument(f"{where}sha256 must be 64 hexadecimal digits")
    weight = _number(item, "weight", 1.0, -MAX_WEIGHT, MAX_WEIGHT)
    return LoraUse(path, weight, sha256.lower() if sha256 else None)
