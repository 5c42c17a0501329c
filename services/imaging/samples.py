"""Loaded pictures as plain samples: colours of one of few modes, and straight alpha. In the child process only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial, reduce
from typing import Any

from PIL import ExifTags, Image, ImageChops

from services.imaging.opening import Opened, UnusablePicture

# A strip at a time, so that several copies of it hardly count.
STRIP_BYTES = 4 << 20
_FULL = 65_535
_SLACK = 1e-4
_SCALE_TO_16 = {depth: _FULL / ((1 << depth) - 1) for depth in range(9, 17)}
_TO_EIGHT_BITS = [(value * 255 + 32_767) // _FULL for value in range(1 << 16)]
# Samples of two bytes whose first Pillow takes; read the other way round they are the second.
_OTHER_BYTE = {
    "RGB;16B": "RGB;16L",
    "RGBA;16B": "RGBA;16L",
    "RGB;16L": "RGB;16B",
    "RGBA;16L": "RGBA;16B",
    "RGB;16N": "RGB;16B",
    "RGBA;16N": "RGBA;16B",
}
_GREY_ALPHA = "LA;16B"


@dataclass(frozen=True, slots=True)
class PixelSamples:
    """`colours` of mode L, RGB, CMYK or LAB with 8 bits, or I with grey of 16; `alpha` of mode L.

    `low` loads the second bytes of RGB whose samples have two.
    """

    colours: Image.Image
    alpha: Image.Image | None = None
    low: Callable[[], Image.Image] | None = None

    def in_eight_bits(self) -> Image.Image:
        return self.colours.point(_TO_EIGHT_BITS, "L") if self.colours.mode == "I" else self.colours

    @property
    def is_deep(self) -> bool:
        """Whether there are 16 bits of each sample."""
        return self.low is not None or self.colours.mode == "I"

    def looked_up(self, tables: Sequence[Sequence[int]]) -> Image.Image:
        """RGB, each deep sample looked up in its channel's table of 65,536."""
        if self.low is None:
            return Image.merge("RGB", [self.colours.point(table, "L") for table in tables])
        return Image.merge("RGB", _narrowed(self.colours, self.low(), tables))


def as_mode(picture: Image.Image, mode: str) -> Image.Image:
    """Itself, and no copy, where it has that mode."""
    return picture if picture.mode == mode else picture.convert(mode)


def samples_of(opened: Opened, reopen: Callable[[], Image.Image]) -> PixelSamples:
    """`reopen` opens the same file again, not loaded. Raises UnusablePicture for numbers without an agreed scale."""
    picture, raw = opened.picture, _raw_mode(reopen) if _is_deep(opened) else ""
    if opened.header is not None and opened.header.key is not None:
        # Pillow would compare it with samples that it has scaled.
        picture.info.pop("transparency", None)
    if raw == _GREY_ALPHA:
        return _deep_grey_alpha(reopen)
    if picture.mode.startswith("I;16"):
        found = PixelSamples(_deep_grey(picture))
    elif picture.mode == "F":
        found = PixelSamples(_scaled(picture))
    elif picture.mode == "I":
        raise UnusablePicture(
            "its samples are whole numbers without an agreed scale; save it with 8 or 16 bits a sample"
        )
    else:
        found = _shallow(picture)
    low = lru_cache(1)(partial(_second_bytes, reopen)) if raw in _OTHER_BYTE else None
    if opened.covered is not None:
        found = replace(found, alpha=_within(opened.covered, found))
    alpha = found.alpha if opened.header is None or opened.header.key is None else _keyed(found.colours, opened, low)
    return PixelSamples(found.colours, alpha, low)


def _within(box: tuple[int, int, int, int], found: PixelSamples) -> Image.Image:
    """Opaque, or as it was, inside the box; transparent outside."""
    alpha = Image.new("L", found.colours.size)
    alpha.paste(255 if found.alpha is None else found.alpha.crop(box), box)
    return alpha


def _narrowed(high: Image.Image, low: Image.Image, tables: Sequence[Sequence[int]]) -> list[Image.Image]:
    """Channels of 8 bits: each sample of two bytes looked up in its channel's table of 65,536."""
    width, height = high.size
    made = [Image.new("L", high.size) for _ in tables]
    rows = max(1, STRIP_BYTES // (width * 4))
    for top in range(0, height, rows):
        box = (0, top, width, min(top + rows, height))
        strips = zip(high.crop(box).split(), low.crop(box).split(), tables, made, strict=False)
        for first, second, table, target in strips:
            target.paste(_joined(first, second).point(table, "L"), box)
    return made


def _joined(first: Image.Image, second: Image.Image) -> Image.Image:
    """Mode I of 0 to 65,535, from the bytes of each sample in two pictures."""
    return Image.frombytes("I", first.size, Image.merge("LA", (second, first)).tobytes(), "raw", "I;16")


def _is_deep(opened: Opened) -> bool:
    """Whether it is one of those that Pillow loads as if their 16 bits were eight."""
    if opened.picture.mode not in ("RGB", "RGBA"):
        return False
    if opened.header is not None:
        return opened.header.depth == 16
    return opened.picture.format == "TIFF" and max(_tags(opened.picture).get(ExifTags.Base.BitsPerSample, (8,))) == 16


def _raw_mode(reopen: Callable[[], Image.Image]) -> str:
    args = reopen().tile[0].args  # type: ignore[attr-defined]
    return str(args if isinstance(args, str) else args[0])


def _second_bytes(reopen: Callable[[], Image.Image]) -> Image.Image:
    def other(args: str | tuple[str, ...]) -> str | tuple[str, ...]:
        return _OTHER_BYTE[args] if isinstance(args, str) else (_OTHER_BYTE[args[0]], *args[1:])

    return _loaded_as(reopen, other)


def _loaded_as(
    reopen: Callable[[], Image.Image], other: Callable[[str | tuple[str, ...]], str | tuple[str, ...]]
) -> Image.Image:
    picture = reopen()
    picture.tile = [tile._replace(args=other(tile.args)) for tile in picture.tile]  # type: ignore[attr-defined]
    picture.load()
    return picture


def _deep_grey_alpha(reopen: Callable[[], Image.Image]) -> PixelSamples:
    """Pillow has no mode for it; its four bytes a pixel are loaded as if they were RGBA."""
    grey, grey_low, alpha, alpha_low = _loaded_as(reopen, lambda _: "RGBA").split()
    return PixelSamples(_joined(grey, grey_low), _joined(alpha, alpha_low).point(_TO_EIGHT_BITS, "L"))


def _deep_grey(picture: Image.Image) -> Image.Image:
    """Mode I of 0 to 65,535, black to white."""
    deep = picture.convert("I")
    if picture.format != "TIFF":
        return deep
    tags = _tags(picture)
    scale = _SCALE_TO_16.get(max(tags.get(ExifTags.Base.BitsPerSample, (16,))), 1.0)
    if tags.get(ExifTags.Base.PhotometricInterpretation) == 0:
        return deep.point(lambda value: value * -scale + _FULL)
    return deep if scale == 1 else deep.point(lambda value: value * scale + 0.5)


def _scaled(picture: Image.Image) -> Image.Image:
    """Floating-point samples, of which 0 to 1 is agreed upon. Raises UnusablePicture for others."""
    low, high = picture.getextrema()
    mean = picture.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    # Of what is no number Pillow makes no extremum, but a mean that is unlike itself.
    if mean != mean or not (low >= -_SLACK and high <= 1 + _SLACK):  # type: ignore[operator]
        raise UnusablePicture(
            f"its floating-point samples lie between {low:g} and {high:g}; only 0 (black) to 1 (white) is taken"
        )
    return picture.point(lambda value: value * _FULL + 0.5).convert("I")


def _tags(picture: Image.Image) -> Mapping[int, Any]:
    """Of a TIFF."""
    found: Mapping[int, Any] = picture.tag_v2  # type: ignore[attr-defined]
    return found


def _shallow(picture: Image.Image) -> PixelSamples:
    mode = picture.mode
    if mode in ("CMYK", "LAB"):
        return PixelSamples(picture)
    if mode in ("LA", "La"):
        grey, alpha = as_mode(picture, "LA").split()
        return PixelSamples(grey, alpha)
    plain = "L" if mode in ("1", "L") else "RGB"
    if not picture.has_transparency_data:
        return PixelSamples(as_mode(picture, plain))
    rgba = as_mode(picture, "RGBA")
    return PixelSamples(as_mode(rgba if plain == "RGB" else picture, plain), rgba.getchannel("A"))


def _keyed(colours: Image.Image, opened: Opened, low: Callable[[], Image.Image] | None) -> Image.Image:
    """0 where the picture has the one colour that its file declares transparent, 255 elsewhere."""
    key, depth = opened.header.key, opened.header.depth  # type: ignore[union-attr]
    if depth == 16 and colours.mode == "I":
        [matches] = [_matches(colours, key[0])]  # type: ignore[index]
    elif depth == 16 and low is not None:
        matches = _all(_narrowed(colours, low(), [_one_of(1 << 16, number) for number in key]))  # type: ignore[union-attr]
    else:
        scale = 255 // ((1 << depth) - 1)
        channels = zip(colours.split(), key, strict=True)  # type: ignore[arg-type]
        matches = _all([channel.point(_one_of(256, number * scale)) for channel, number in channels])
    return ImageChops.invert(matches)


def _matches(deep: Image.Image, number: int) -> Image.Image:
    return deep.point(_one_of(1 << 16, number), "L")


def _one_of(count: int, number: int) -> list[int]:
    table = [0] * count
    table[number] = 255
    return table


def _all(channels: list[Image.Image]) -> Image.Image:
    return reduce(ImageChops.darker, channels)
