"""ICC profiles of pictures, judged by what they do. Runs in the child process only, as they come from outside."""

from __future__ import annotations

import io
import struct

from PIL import Image, ImageChops, ImageCms

from services.imaging import icc
from services.imaging.png import Header

_MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_SPACE_AT = slice(16, 20)
# Printers' profiles have up to a few MiB.
_MOST_BYTES = 8 << 20
# A profile that moves no colour further is one of sRGB's many spellings.
_SLIGHT = 2
_STEPS = (0, 8, 32, 64, 96, 128, 160, 192, 224, 255)
# Preparing for many pixels takes longer than a few of them.
_FOR_FEW = ImageCms.Flags.NOOPTIMIZE
_DEEP_STEPS = Image.frombytes("I;16", (256, 256), struct.pack("<65536H", *range(65_536)))
# H.273, 8.1 and 8.2. Cameras mean sRGB's curve by those of television (1, 6, 14, 15) as well.
_P3 = (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
_BT_2020 = (0.3127, 0.329, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046)
_PRIMARIES: dict[int, tuple[float, ...] | None] = {1: None, 2: None, 5: None, 6: None, 9: _BT_2020, 12: _P3}
_GAMMAS: dict[int, float | None] = {
    1: None,
    2: None,
    6: None,
    13: None,
    14: None,
    15: None,
    4: 1 / 2.2,
    5: 1 / 2.8,
    8: 1.0,
}
_FAULTS = (ImageCms.PyCMSError, OSError, ValueError, TypeError)
# What sRGB comes down to for those who do not know its chunk (PNG 3rd edition, 11.3.2.5).
_GAMMA, _GAMMA_SLACK = 0.45455, 0.05
_XY_SLACK = 0.002


def mode_of(profile: bytes) -> str | None:
    """The mode of pictures whose colours it describes; None where it is broken or describes others."""
    mode = _MODES.get(profile[_SPACE_AT].decode("latin-1"))
    if mode is None or len(profile) > _MOST_BYTES:
        return None
    try:
        _transformed(Image.new(mode, (1, 1)), profile, _FOR_FEW)
    except _FAULTS:
        return None
    return mode


def is_srgb(profile: bytes, mode: str) -> bool:
    """Whether pictures of that mode look the same without it."""
    if mode == "CMYK":
        return False
    swatches = _swatches(mode)
    difference = ImageChops.difference(_transformed(swatches, profile, _FOR_FEW), swatches.convert("RGB"))
    return all(high <= _SLIGHT for _, high in difference.getextrema())  # type: ignore[misc]


def in_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """RGB, of a picture of the profile's mode; grey may be 16 bits deep (mode I)."""
    if picture.mode not in ("L", "I"):
        return _transformed(picture, profile)
    # LittleCMS prepares a few steps of grey and guesses between them: up to ten of 255 from where they belong.
    steps = _swatches("L") if picture.mode == "L" else _DEEP_STEPS
    tables = [channel.tobytes() for channel in _transformed(steps, profile, _FOR_FEW).split()]
    return Image.merge("RGB", [picture.point(list(table), "L") for table in tables])


def of_code_points(primaries: int, curve: int) -> bytes:
    """What H.273 names by numbers, as a profile; empty where that is sRGB, or means what nobody said.

    Raises icc.UnreadableProfile for what cannot be shown so, films of a high dynamic range above all.
    """
    if primaries not in _PRIMARIES or curve not in _GAMMAS:
        raise icc.UnreadableProfile("colours of another kind")
    if _PRIMARIES[primaries] is None and _GAMMAS[curve] is None:
        return b""
    return icc.made(_GAMMAS[curve], _PRIMARIES[primaries], grey=False)


def of_png(header: Header) -> bytes:
    """What gAMA and cHRM say, as a profile; empty where that is nothing, or sRGB."""
    if header.says_srgb or (_is_srgbs_gamma(header.gamma) and _are_srgbs(header.chromaticities)):
        return b""
    try:
        return icc.made(header.gamma, header.chromaticities, grey=header.kind in (0, 4))
    except icc.UnreadableProfile:
        return b""


def in_profile(colour: tuple[int, int, int], profile: bytes) -> tuple[int, int, int]:
    """An sRGB colour in the numbers of `profile`; as it is where the profile tells the way back only."""
    swatch = Image.new("RGB", (1, 1), colour)
    try:
        target = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        translated = ImageCms.profileToProfile(swatch, ImageCms.createProfile("sRGB"), target, outputMode="RGB")
    except _FAULTS:
        return colour
    red, green, blue = (translated or swatch).getpixel((0, 0))  # type: ignore[misc]
    return int(red), int(green), int(blue)


def _transformed(picture: Image.Image, profile: bytes, flags: ImageCms.Flags = ImageCms.Flags.NONE) -> Image.Image:
    source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
    found = ImageCms.profileToProfile(picture, source, target, outputMode="RGB", flags=flags)
    if found is None:
        raise ValueError("nothing was transformed")
    return found


def _swatches(mode: str) -> Image.Image:
    if mode == "L":
        return Image.frombytes("L", (256, 1), bytes(range(256)))
    colours = bytes(value for r in _STEPS for g in _STEPS for b in _STEPS for value in (r, g, b))
    return Image.frombytes("RGB", (len(_STEPS) ** 2, len(_STEPS)), colours)


def _is_srgbs_gamma(gamma: float | None) -> bool:
    return gamma is None or abs(gamma / _GAMMA - 1) <= _GAMMA_SLACK


def _are_srgbs(chromaticities: tuple[float, ...] | None) -> bool:
    return chromaticities is None or all(
        abs(found - ours) <= _XY_SLACK for found, ours in zip(chromaticities, icc.SRGB_CHROMATICITIES, strict=True)
    )
