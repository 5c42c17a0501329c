"""Profiles of three primaries and a curve, made and taken apart (ICC.1:2022). Runs in the child process only."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeAlias

# From a sample to linear light, both of 0 to 1.
Curve: TypeAlias = Callable[[float], float]
Vector: TypeAlias = tuple[float, float, float]
Matrix: TypeAlias = tuple[Vector, Vector, Vector]

_HEADER_BYTES, _ENTRY_BYTES = 128, 12
_MOST_TAGS = 100
_D50: Vector = (0.9642, 1.0, 0.8249)
_BRADFORD: Matrix = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
# x and y of white, red, green and blue.
SRGB_CHROMATICITIES = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
# The parameters of a parametric curve of each type (10.18).
_PARAMETERS = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}


class UnreadableProfile(ValueError):
    """Not a profile of this kind, or not one that makes sense."""


def made(gamma: float | None, chromaticities: Sequence[float] | None, *, grey: bool) -> bytes:
    """Raises UnreadableProfile. Without a gamma sRGB's curve; without x and y of white and colours its primaries."""
    curve = parametric(_SRGB_CURVE if gamma is None else (1 / gamma,))
    if grey:
        return profile(b"GRAY", {b"kTRC": curve})
    colorants = _columns(_adapted(chromaticities or SRGB_CHROMATICITIES))
    return _of_colorants([_xyz(column) for column in colorants], curve)


def with_srgb_curve(source: bytes) -> bytes:
    """The same primaries, as if sRGB's curve were theirs. Raises UnreadableProfile."""
    found = _tags(source)
    try:
        colorants = [found[name] for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    except KeyError as error:
        raise UnreadableProfile("it has no primaries") from error
    return _of_colorants(colorants, parametric(_SRGB_CURVE))


def curves(source: bytes) -> tuple[Curve, Curve, Curve]:
    """Of a profile that is nothing but primaries and curves. Raises UnreadableProfile."""
    found = _tags(source)
    if source[16:24] != b"RGB XYZ " or any(name.startswith((b"A2B", b"D2B")) for name in found):
        raise UnreadableProfile("it has tables")
    try:
        red, green, blue = (_curve(found[name]) for name in (b"rTRC", b"gTRC", b"bTRC"))
    except (KeyError, struct.error, IndexError) as error:
        raise UnreadableProfile("its curves cannot be read") from error
    return red, green, blue


def srgb_encoded(linear: float) -> float:
    """IEC 61966-2-1."""
    linear = min(max(linear, 0.0), 1.0)
    return 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055


def profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A display profile of version 4 with these tags beside the obligatory ones."""
    tags = {b"desc": _text("from the picture"), b"cprt": _text("none"), b"wtpt": _xyz(_D50), **tags}
    table, body, at = b"", b"", _HEADER_BYTES + 4 + _ENTRY_BYTES * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", at + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I4sI4s4s4s12s4s", at + len(body), b"", 0x04300000, b"mntr", space, b"XYZ ", b"", b"acsp")
    head = (head + bytes(28) + _fixed(*_D50)).ljust(_HEADER_BYTES, b"\0")
    return head + struct.pack(">I", len(tags)) + table + body


def parametric(parameters: Sequence[float]) -> bytes:
    """A curve by its parameters: an exponent, or the five of sRGB's kind."""
    kind = next(kind for kind, count in _PARAMETERS.items() if count == len(parameters))
    return b"para" + bytes(4) + struct.pack(">HH", kind, 0) + _fixed(*parameters)


def _of_colorants(colorants: Sequence[bytes], curve: bytes) -> bytes:
    names = (b"rXYZ", b"gXYZ", b"bXYZ")
    return profile(
        b"RGB ", dict(zip(names, colorants, strict=True)) | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    )


def _tags(source: bytes) -> dict[bytes, bytes]:
    """Raises UnreadableProfile."""
    count = int.from_bytes(source[_HEADER_BYTES : _HEADER_BYTES + 4])
    if not 0 < count <= _MOST_TAGS or len(source) < _HEADER_BYTES + 4 + count * _ENTRY_BYTES:
        raise UnreadableProfile("it has no table of tags")
    found = {}
    for number in range(count):
        name, at, size = struct.unpack_from(">4sII", source, _HEADER_BYTES + 4 + number * _ENTRY_BYTES)
        found[name] = source[at : at + size]
    return found


def _curve(tag: bytes) -> Curve:
    if tag[:4] == b"para":
        kind = int.from_bytes(tag[8:10])
        numbers = struct.unpack_from(f">{_PARAMETERS[kind]}i", tag, 12)
        return _formula(kind, [number / 65536 for number in numbers])
    if tag[:4] != b"curv":
        raise UnreadableProfile("a curve of another kind")
    count = int.from_bytes(tag[8:12])
    if count == 0:
        return lambda sample: sample
    if count == 1:
        gamma = int.from_bytes(tag[12:14]) / 256
        return lambda sample: sample**gamma
    return _table([number / 65535 for number in struct.unpack_from(f">{min(count, 65536)}H", tag, 12)])


def _formula(kind: int, numbers: list[float]) -> Curve:
    """10.18, types 0 to 4, as the last of them."""
    g, a, b, c, d, e, f = (*numbers, *(0.0,) * (7 - len(numbers)))
    if kind == 0:
        a = 1.0
    elif kind in (1, 2):
        e, f, c, d = (0.0, 0.0, 0.0, -b / a) if kind == 1 else (c, c, 0.0, -b / a)
    if kind == 0 or d == 0:
        d = min(d, 0.0)
    return lambda sample: max(a * sample + b, 0.0) ** g + e if sample >= d else c * sample + f


def _table(entries: list[float]) -> Curve:
    last, steps = len(entries) - 1, [*pairwise(entries), (entries[-1], entries[-1])]

    def looked_up(sample: float) -> float:
        at = sample * last
        low, high = steps[int(at)]
        return low + (high - low) * (at - int(at))

    return looked_up


def _adapted(chromaticities: Sequence[float]) -> Matrix:
    """From linear light to XYZ under D50. Raises UnreadableProfile."""
    if any(chromaticities[number] <= 0 for number in (1, 3, 5, 7)):
        raise UnreadableProfile("a colour without light")
    white, *colours = ((x / y, 1.0, (1 - x - y) / y) for x, y in zip(*[iter(chromaticities)] * 2, strict=True))
    primaries = _columns((colours[0], colours[1], colours[2]))
    shares = _times(_inverse(primaries), white)
    cones, target = _times(_BRADFORD, white), _times(_BRADFORD, _D50)
    if min(cones) <= 0:
        raise UnreadableProfile("a white that is none")
    scaled = tuple(tuple(value * target[row] / cones[row] for value in _BRADFORD[row]) for row in range(3))
    adapted = _product(_inverse(_BRADFORD), _matrix(scaled))
    return _product(adapted, _matrix([[primaries[row][at] * shares[at] for at in range(3)] for row in range(3)]))


def _inverse(m: Matrix) -> Matrix:
    """Raises UnreadableProfile."""
    (a, b, c), (d, e, f), (g, h, i) = m
    determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    if abs(determinant) < 1e-9:
        raise UnreadableProfile("primaries in a line")
    rows = (
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    )
    return _matrix([[value / determinant for value in row] for row in rows])


def _times(m: Matrix, v: Vector) -> Vector:
    first, second, third = (sum(x * y for x, y in zip(row, v, strict=True)) for row in m)
    return first, second, third


def _product(a: Matrix, b: Matrix) -> Matrix:
    return _columns(_matrix([_times(a, column) for column in _columns(b)]))


def _columns(m: Matrix) -> Matrix:
    return _matrix(list(zip(*m, strict=True)))


def _matrix(rows: Sequence[Sequence[float]]) -> Matrix:
    first, second, third = ((float(a), float(b), float(c)) for a, b, c in rows)
    return first, second, third


def _xyz(values: Vector) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(*values)


def _fixed(*values: float) -> bytes:
    """Raises UnreadableProfile beyond what such numbers hold."""
    if any(not -32768 < value < 32767 for value in values):
        raise UnreadableProfile("a number too large")
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def _text(text: str) -> bytes:
    written = text.encode("utf-16-be")
    return b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(written), 28) + written
