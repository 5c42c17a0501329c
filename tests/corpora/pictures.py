"""Pictures of every container, mode, depth, profile, orientation and transparency, with what each must look like.

Nothing here uses the code that is tested: PNG and TIFF are written byte by byte, lossy files read back by their own
codec, colours worked out from the published formulas, or by LittleCMS where a profile is a table.
"""

from __future__ import annotations

import io
import itertools
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image, ImageCms

pillow_heif.register_heif_opener()

WIDTH, HEIGHT = 20, 12
# Display P3 to sRGB, both linear (CSS Color 4, 10.2 and 10.5).
P3_TO_SRGB = np.array([[1.2249402, -0.2249402, 0.0], [-0.0420570, 1.0420570, 0.0], [-0.0196376, -0.0786361, 1.0982736]])
P3_XY = (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
_P3_XYZ = ((0.515102, 0.241182, -0.00105), (0.291965, 0.692236, 0.041882), (0.157153, 0.066582, 0.784378))
_SRGB_XYZ = ((0.436066, 0.222488, 0.013916), (0.385147, 0.716873, 0.097076), (0.143066, 0.060608, 0.714096))
_D50 = (0.9642, 1.0, 0.8249)
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Case:
    """`shown` is uint8-like [H, W, 3 or 4], upright, sRGB; `tolerance` what rounding on the way may cost."""

    name: str
    content: bytes
    shown: Numbers
    depth: int
    tolerance: float
    # Of the picture in its own colours, whose eight bits may be too few for a straight curve.
    own_tolerance: float


# --- colours ------------------------------------------------------------------------------------------------------


def srgb_encoded(linear: Numbers) -> Numbers:
    """IEC 61966-2-1."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def srgb_linear(encoded: Numbers) -> Numbers:
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def tag_xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def tag_gamma(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def tag_text(text: str) -> bytes:
    return b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text.encode() + b"\0" * 80


def icc(space: bytes, tags: dict[bytes, bytes], *, name: str = "a profile", kind: bytes = b"mntr") -> bytes:
    """Version 2. `name` is what is judged by those who judge by names."""
    tags = {b"desc": tag_text(name), b"cprt": b"text\0\0\0\0none\0", b"wtpt": tag_xyz(_D50), **tags}
    table, body, at = b"", b"", 132 + 12 * len(tags)
    for tag, content in tags.items():
        table += tag + struct.pack(">II", at + len(body), len(content))
        body += content + b"\0" * (-len(content) % 4)
    pcs = b"Lab " if space == b"CMYK" else b"XYZ "
    head = struct.pack(">I4sI4s4s4s12s4s", at + len(body), b"none", 0x02400000, kind, space, pcs, b"", b"acsp")
    head = (head + b"\0" * 28 + struct.pack(">3i", 63190, 65536, 54061)).ljust(128, b"\0")
    return head + struct.pack(">I", len(tags)) + table + body


def rgb_profile(
    gamma: float, primaries: tuple[tuple[float, ...], ...] = _SRGB_XYZ, *, name: str = "a profile"
) -> bytes:
    colorants = {tag: tag_xyz(values) for tag, values in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)}
    return icc(b"RGB ", colorants | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), tag_gamma(gamma)), name=name)


def grey_profile(gamma: float, *, name: str = "a profile") -> bytes:
    return icc(b"GRAY", {b"kTRC": tag_gamma(gamma)}, name=name)


def ink_profile() -> bytes:
    """Four inks to Lab by a table of two steps each."""
    table = bytearray()
    for c, m, y, k in itertools.product((0, 1), repeat=4):
        lightness = 255 * (1 - k) * (1 - 0.3 * c - 0.4 * m - 0.1 * y)
        table += bytes((round(max(lightness, 10)), 128 - 40 * c + 70 * m - 5 * y, 128 - 45 * c - 10 * m + 85 * y))
    ramp = bytes(range(256))
    matrix = struct.pack(">9i", *(65536 * (at % 4 == 0) for at in range(9)))
    lut = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + matrix + ramp * 4 + bytes(table) + ramp * 3
    return icc(b"CMYK", {b"A2B0": lut}, kind=b"prtr")


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LINEAR = rgb_profile(1.0, name="sRGB linear")
LINEAR_GREY = grey_profile(1.0, name="sRGB grey")
WIDE = rgb_profile(2.2, _P3_XYZ, name="sRGB of a kind")
INKS = ink_profile()


def as_linear(values: Numbers) -> Numbers:
    return srgb_encoded(values)


def as_wide(values: Numbers) -> Numbers:
    return srgb_encoded(values**2.19921875 @ P3_TO_SRGB.T)


def as_display_p3(values: Numbers) -> Numbers:
    return srgb_encoded(srgb_linear(values) @ P3_TO_SRGB.T)


def as_it_is(values: Numbers) -> Numbers:
    return values


@dataclass(frozen=True, slots=True)
class Colouring:
    """What a file says of its colours, and how they then look. `straight`: its curve is far from sRGB's."""

    name: str
    profile: bytes = b""
    chunks: tuple[tuple[bytes, bytes], ...] = ()
    shown: Callable[[Numbers], Numbers] = as_it_is
    straight: bool = False
    points: tuple[int, int] | None = None


def gama(gamma: float) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", round(gamma * 100_000))


def cicp(primaries: int, curve: int) -> tuple[bytes, bytes]:
    return b"cICP", bytes((primaries, curve, 0, 1))


def chrm(values: tuple[float, ...]) -> tuple[bytes, bytes]:
    return b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in values))


RGB_COLOURINGS = (
    Colouring("plain"),
    Colouring("sRGB profile", SRGB),
    Colouring("linear profile named sRGB", LINEAR, shown=as_linear, straight=True),
    Colouring("wide profile", WIDE, shown=as_wide),
    Colouring("broken profile", SRGB[:200]),
    Colouring("another's profile", INKS),
)
GREY_COLOURINGS = (
    Colouring("plain"),
    Colouring("linear grey profile named sRGB", LINEAR_GREY, shown=as_linear, straight=True),
    Colouring("grey profile", grey_profile(2.2), shown=lambda values: srgb_encoded(values**2.19921875)),
    Colouring("linear profile of colours", LINEAR, shown=as_linear, straight=True),
    Colouring("broken profile", LINEAR_GREY[:150]),
)
BOX_COLOURINGS = (
    Colouring("box of Display P3", shown=as_display_p3, points=(12, 13)),
    Colouring("box of television", points=(1, 1)),
    Colouring("profile before the box", WIDE, shown=as_wide, points=(12, 13)),
)
PNG_COLOURINGS = (
    Colouring("cICP of sRGB before gAMA", LINEAR_GREY, chunks=(cicp(1, 13), gama(1.0))),
    Colouring("linear cICP before sRGB", chunks=((b"sRGB", b"\0"), cicp(1, 8)), shown=as_linear, straight=True),
    Colouring("sRGB chunk before gAMA", chunks=((b"sRGB", b"\0"), gama(1.0))),
    Colouring("gAMA", chunks=(gama(1.0),), shown=as_linear, straight=True),
    Colouring("gAMA of sRGB", chunks=(gama(0.45455), chrm((0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)))),
    Colouring("profile before gAMA", SRGB, chunks=(gama(1.0),)),
    Colouring("gAMA of nothing", chunks=(gama(0),)),
)
PNG_RGB_COLOURINGS = (
    Colouring("cICP of Display P3", SRGB, chunks=(cicp(12, 13),), shown=as_display_p3),
    Colouring("cICP of a film", chunks=(cicp(9, 16),)),
    Colouring("gAMA and cHRM", chunks=(gama(1 / 2.19921875), chrm(P3_XY)), shown=as_wide),
    Colouring("cHRM in a line", chunks=(gama(1.0), chrm((0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3)))),
)


# --- files --------------------------------------------------------------------------------------------------------


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(numbers: NDArray[Any], depth: int, kind: int, before: bytes = b"") -> bytes:
    """`numbers` [H, W, channels] in the file's own scale; `before` are chunks in front of the pixels."""
    height, width, _ = numbers.shape
    if depth == 16:
        rows = [row.astype(">u2").tobytes() for row in numbers]
    else:
        bits = np.unpackbits(numbers.astype(np.uint8)[..., None], axis=-1)[..., 8 - depth :]
        rows = [np.packbits(row.ravel()).tobytes() for row in bits]
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    packed = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + head + before + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def tiff(
    numbers: NDArray[Any], photometric: int, tags: dict[int, tuple[int, Any]], *, deflate: bool, big: bool
) -> bytes:
    """`numbers` [H, W, channels] of uint8, uint16 or float32; `tags` beside the obligatory: type and value."""
    order: Literal["<", ">"] = ">" if big else "<"
    height, width, channels = numbers.shape
    body = numbers.astype(numbers.dtype.newbyteorder(order)).tobytes()
    body = zlib.compress(body) if deflate else body
    bits = numbers.dtype.itemsize * 8
    entries: dict[int, tuple[int, Any]] = {
        256: (4, [width]), 257: (4, [height]), 258: (3, [bits] * channels), 259: (3, [8 if deflate else 1]),
        262: (3, [photometric]), 273: (4, [8]), 277: (3, [channels]), 278: (4, [height]), 279: (4, [len(body)]),
        **({339: (3, [3] * channels)} if numbers.dtype.kind == "f" else {}), **tags,
    }  # fmt: skip
    table, beside, at = b"", b"", 8 + len(body) + 2 + 12 * len(entries) + 4
    for tag, (kind, values) in sorted(entries.items()):
        packed = values if kind == 7 else struct.pack(f"{order}{len(values)}{'H' if kind == 3 else 'I'}", *values)
        count = len(values)
        if len(packed) <= 4:
            table += struct.pack(f"{order}HHI", tag, kind, count) + packed.ljust(4, b"\0")
        else:
            table += struct.pack(f"{order}HHII", tag, kind, count, at + len(beside))
            beside += packed + b"\0" * (len(packed) % 2)
    head = (b"MM\0*" if big else b"II*\0") + struct.pack(f"{order}I", 8 + len(body))
    return head + body + struct.pack(f"{order}H", len(entries)) + table + b"\0\0\0\0" + beside


def bigtiff(numbers: NDArray[Any], *, deflate: bool, big: bool) -> bytes:
    """As `tiff`, in words of eight bytes (libtiff.gitlab.io/libtiff/specification/bigtiff.html)."""
    order: Literal["<", ">"] = ">" if big else "<"
    prefix = b"MM\0+\0\x08\0\0" if big else b"II+\0\x08\0\0\0"
    height, width, channels = numbers.shape
    body = numbers.astype(numbers.dtype.newbyteorder(order)).tobytes()
    body = zlib.compress(body) if deflate else body
    entries: dict[int, tuple[int, list[int]]] = {
        256: (4, [width]), 257: (4, [height]), 258: (3, [numbers.dtype.itemsize * 8] * channels),
        259: (3, [8 if deflate else 1]), 262: (3, [2 if channels > 2 else 1]), 273: (16, [16]), 277: (3, [channels]),
        278: (4, [height]), 279: (16, [len(body)]), **({338: (3, [2])} if channels in (2, 4) else {}),
    }  # fmt: skip
    table = b""
    for tag, (kind, values) in entries.items():
        packed = struct.pack(f"{order}{len(values)}{ {3: 'H', 4: 'I', 16: 'Q'}[kind] }", *values)
        table += struct.pack(f"{order}HHQ8s", tag, kind, len(values), packed)
    head = prefix + struct.pack(f"{order}Q", 16 + len(body))
    return head + body + struct.pack(f"{order}Q", len(entries)) + table + bytes(8)


def exif(orientation: int) -> bytes:
    made = Image.Exif()
    made[0x0112] = orientation
    return made.tobytes()


def saved(picture: Image.Image, form: str, **options: Any) -> bytes:
    target = io.BytesIO()
    picture.save(target, form, **options)
    return target.getvalue()


def upright(stored: Numbers, orientation: int) -> Numbers:
    """Exif 2.32, 4.6.4 A."""
    turned = {
        1: stored, 2: stored[:, ::-1], 3: stored[::-1, ::-1], 4: stored[::-1],
        5: stored.transpose(1, 0, 2), 6: np.rot90(stored, -1), 7: np.rot90(stored, 2).transpose(1, 0, 2),
        8: np.rot90(stored),
    }  # fmt: skip
    return turned[orientation]


# --- cases --------------------------------------------------------------------------------------------------------


def cases(seed: int) -> list[Callable[[], Case]]:
    """Every combination that a container can hold, in an order of its own; each is made when it is asked for."""
    everything = [*_pngs(seed), *_tiffs(seed), *_by_codec(seed), *_simple(seed)]
    random.Random(seed).shuffle(everything)
    return everything


def _numbers(seed: int, top: int, channels: int) -> NDArray[np.int64]:
    """All sorts, the ends among them."""
    rng = np.random.default_rng(seed)
    made = rng.integers(0, top + 1, (HEIGHT, WIDTH, channels))
    made[0, :4] = np.array([0, top, 1, top - 1])[:, None]
    return made


def _finished(
    name: str,
    content: bytes,
    values: Numbers,
    alpha: Numbers | None,
    colouring: Colouring,
    orientation: int,
    depth: int,
) -> Case:
    """`values` of 0 to 1, [H, W, 1 or 3]."""
    colours = np.repeat(values, 3, axis=2) if values.shape[2] == 1 else values
    shown = 255 * colouring.shown(colours)
    if alpha is not None:
        shown = np.dstack([shown, 255 * alpha])
    exact = colouring.shown is as_it_is
    # 16 bits become eight on sRGB's curve before primaries change: it shows in the darkest channel of strong colours.
    changed = 3.1 if depth <= 8 or colouring.straight else 6.5
    tolerance = (0.51 if depth <= 8 else 1.01) if exact else changed
    own = tolerance + 1 if exact or depth <= 8 else 20.0 if colouring.straight else 9.0
    return Case(f"{name}, {colouring.name}, {orientation}", content, upright(shown, orientation), depth, tolerance, own)


def _pngs(seed: int) -> Iterator[Callable[[], Case]]:
    kinds = [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8), (4, 8), (4, 16)]
    for kind, depth in [*kinds, (6, 8), (6, 16)]:
        colourings = (GREY_COLOURINGS if kind in (0, 4) else (*RGB_COLOURINGS, *PNG_RGB_COLOURINGS)) + PNG_COLOURINGS
        keyed = (False, True) if kind in (0, 2, 3) else (False,)
        for colouring, key, orientation in itertools.product(colourings, keyed, range(1, 9)):
            yield partial(_png, seed, kind, depth, colouring, key, orientation)


def _png(seed: int, kind: int, depth: int, colouring: Colouring, keyed: bool, orientation: int) -> Case:
    channels, top = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind], (1 << depth) - 1
    numbers = _numbers(seed, top, channels)
    extra = b"".join(chunk(*item) for item in colouring.chunks)
    if colouring.profile:
        extra += chunk(b"iCCP", b"from outside\0\0" + zlib.compress(colouring.profile))
    values, alpha, more = _png_meaning(seed, numbers, kind, depth, keyed)
    if orientation > 1:
        more += chunk(b"eXIf", exif(orientation).removeprefix(b"Exif\0\0"))
    name = f"PNG of type {kind} with {depth} bits{', a colour transparent' if keyed else ''}"
    colours_depth = 8 if kind == 3 else depth
    case = _finished(
        name, png(numbers, depth, kind, extra + more), values, alpha, colouring, orientation, colours_depth
    )
    return Case(case.name, case.content, case.shown, depth, case.tolerance, case.own_tolerance)


def _png_meaning(
    seed: int, numbers: NDArray[np.int64], kind: int, depth: int, keyed: bool
) -> tuple[Numbers, Numbers | None, bytes]:
    """Values, alpha, and the chunks that belong to them."""
    top = (1 << depth) - 1
    if kind == 3:
        rng = np.random.default_rng(seed + 1)
        palette, clear = rng.integers(0, 256, (top + 1, 3)), rng.integers(0, 256, top + 1)
        more = chunk(b"PLTE", palette.astype(np.uint8).tobytes())
        more += chunk(b"tRNS", clear.astype(np.uint8).tobytes()) if keyed else b""
        at = numbers[..., 0]
        return palette[at] / 255, clear[at] / 255 if keyed else None, more
    if kind in (4, 6):
        return numbers[..., :-1] / top, numbers[..., -1] / top, b""
    if not keyed:
        return numbers / top, None, b""
    key = numbers[5, 7]
    # Another that differs from it in the second byte only.
    if depth == 16:
        numbers[6, 3] = key ^ 1
    return numbers / top, (numbers != key).any(axis=2).astype(float), chunk(b"tRNS", struct.pack(f">{len(key)}H", *key))


def _tiffs(seed: int) -> Iterator[Callable[[], Case]]:
    kinds = [
        ("grey", np.uint8, 1, 1), ("grey", np.uint16, 1, 1), ("white is zero", np.uint8, 1, 0),
        ("white is zero", np.uint16, 1, 0), ("RGB", np.uint8, 3, 2), ("RGB", np.uint16, 3, 2), ("RGBA", np.uint8, 4, 2),
        ("RGBA", np.uint16, 4, 2), ("CMYK", np.uint8, 4, 5), ("floats", np.float32, 1, 1),
    ]  # fmt: skip
    for kind in kinds:
        inks = (Colouring("plain"), Colouring("inks' profile", INKS))
        colourings = inks if kind[0] == "CMYK" else GREY_COLOURINGS if kind[2] == 1 else RGB_COLOURINGS
        for colouring, deflate, big, orientation in itertools.product(colourings, (0, 1), (0, 1), range(1, 9)):
            # The one kind of all these that Pillow does not know.
            if not (big and kind[0] == "white is zero" and kind[1] is np.uint16):
                yield partial(_tiff, seed, *kind, colouring, bool(deflate), bool(big), orientation)


def _tiff(
    seed: int, name: str, kind: type[Any], channels: int, photometric: int, colouring: Colouring, deflate: bool,
    big: bool, orientation: int,
) -> Case:  # fmt: skip
    dtype = np.dtype(kind)
    top = 1 if dtype.kind == "f" else np.iinfo(dtype).max
    numbers = (
        _numbers(seed, 10**6, channels) / 1e6 if dtype.kind == "f" else _numbers(seed, int(top), channels)
    ).astype(dtype)
    tags: dict[int, tuple[int, Any]] = {274: (3, [orientation])} if orientation > 1 else {}
    if colouring.profile:
        tags[34675] = (7, colouring.profile)
    if photometric == 2 and channels == 4:
        tags[338] = (3, [2])
    content = tiff(numbers, photometric, tags, deflate=deflate, big=big)
    values, alpha = numbers.astype(float) / top, None
    if photometric == 5:
        values = np.asarray(inks_shown(Image.frombytes("CMYK", (WIDTH, HEIGHT), numbers.tobytes()), colouring)) / 255
        colouring = Colouring(colouring.name)
    elif channels == 4:
        values, alpha = values[..., :3], values[..., 3]
    values = 1 - values if photometric == 0 else values
    depth = dtype.itemsize * 8
    name = f"TIFF, {name} of {depth} bits{', packed' if deflate else ''}{', big-endian' if big else ''}"
    return _finished(name, content, values, alpha, colouring, orientation, depth)


def inks_shown(picture: Image.Image, colouring: Colouring) -> Image.Image:
    """By LittleCMS, as the profile is a table; Pillow's own way without one."""
    if not colouring.profile:
        return picture.convert("RGB")
    source = ImageCms.ImageCmsProfile(io.BytesIO(colouring.profile))
    shown = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    assert shown is not None
    return shown


def _by_codec(seed: int) -> Iterator[Callable[[], Case]]:
    """Formats whose own reader says what the numbers are."""
    modes = {"JPEG": ("L", "RGB", "CMYK"), "WEBP": ("RGB", "RGBA"), "AVIF": ("RGB", "RGBA"), "HEIF": ("RGB", "RGBA")}
    for form, mode in ((form, mode) for form, found in modes.items() for mode in found):
        inks = (Colouring("plain"), Colouring("inks' profile", INKS))
        colourings = inks if mode == "CMYK" else GREY_COLOURINGS if mode == "L" else RGB_COLOURINGS[:4]
        if form in ("AVIF", "HEIF"):
            colourings = (*colourings, *BOX_COLOURINGS)
        options = ({"progressive": False}, {"progressive": True}) if form == "JPEG" else ({},)
        options = ({"lossless": True}, {"lossless": False}) if form == "WEBP" else options
        for colouring, more, orientation in itertools.product(colourings, options, range(1, 9)):
            yield partial(_read_back, seed, form, mode, colouring, more, orientation)


def _read_back(
    seed: int, form: str, mode: str, colouring: Colouring, options: dict[str, Any], orientation: int
) -> Case:
    smooth = _numbers(seed, 255, len(mode)).astype(np.uint8)
    small = Image.fromarray(smooth[..., 0] if mode == "L" else smooth, mode if mode == "CMYK" else None)
    picture = small.resize((2 * WIDTH, 2 * HEIGHT), Image.Resampling.BILINEAR)
    # Of a broken or foreign profile the writers themselves want nothing.
    options = {"quality": 90, "icc_profile": colouring.profile or None, **options}
    with Image.open(io.BytesIO(saved(picture, form, **options)), formats=[form]) as stored:
        stored.load()
    values, alpha = np.asarray(stored).astype(float) / 255, None
    if mode == "CMYK":
        values, colouring = np.asarray(inks_shown(stored, colouring)) / 255, Colouring(colouring.name)
    elif mode == "RGBA":
        values, alpha = values[..., :3], values[..., 3]
    elif mode == "L":
        values = values[..., None]
    content = (
        saved(picture, form, exif=exif(orientation), **options) if orientation > 1 else saved(picture, form, **options)
    )
    if colouring.points:
        at = content.find(b"colrnclx") + 8
        # Beside a profile not every writer puts the box.
        assert at > 8 or colouring.profile
        content = content[:at] + struct.pack(">HH", *colouring.points) + content[at + 4 :] if at > 8 else content
    return _finished(f"{form}, {mode}, {options}", content, values, alpha, colouring, orientation, 8)


def _simple(seed: int) -> Iterator[Callable[[], Case]]:
    """Formats without profile and orientation."""
    for form, mode in (
        ("BMP", "1"),
        ("BMP", "L"),
        ("BMP", "P"),
        ("BMP", "RGB"),
        ("GIF", "P"),
        ("GIF", "L"),
    ):
        yield partial(_plain, seed, form, mode)


def _plain(seed: int, form: str, mode: str) -> Case:
    colours = Image.fromarray(_numbers(seed, 255, 4).astype(np.uint8))
    picture = colours if mode == "RGBA" else colours.convert("RGB").convert(mode)
    shown = picture if mode == "RGBA" else picture.convert("RGB")
    values = np.asarray(shown).astype(float) / 255
    alpha = values[..., 3] if mode == "RGBA" else None
    depth = 1 if (form, mode) == ("BMP", "1") else 8
    return _finished(f"{form}, {mode}", saved(picture, form), values[..., :3], alpha, Colouring("plain"), 1, depth)
