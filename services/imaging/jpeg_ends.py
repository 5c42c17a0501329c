"""JPEGs whose last two bytes, the end marker, were lost on the way. Runs in the child process only."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from typing import IO

from PIL import Image, ImageChops

_SCAN, _END = b"\xff\xda", b"\xff\xd9"
_FRAMES = (b"\xff\xc0", b"\xff\xc1", b"\xff\xc2")
# Any bits but those that a decoder makes up itself, which are zeros.
_OTHER_BITS = b"\xd5" + random.Random(0).randbytes(4096).replace(b"\xff", b"\0")


def whole_without_end(content: IO[bytes]) -> Image.Image | None:
    """The loaded picture if nothing but the end marker is missing; None where pixels are missing too.

    A decoder fills up a picture that was cut off with whatever follows. So it is decoded twice, with different bits
    in the place of the lost ones: where they show, they were needed.
    """
    content.seek(0)
    stored = content.read().removesuffix(b"\xff")
    scan = stored.rfind(_SCAN)
    if scan < 0 or stored.rfind(_END, scan) >= 0 or not _refined_to_the_last_bit(stored):
        return None
    picture, other = (_loaded(stored + bits + _END) for bits in (b"", _OTHER_BITS))
    return picture if ImageChops.difference(picture, other).getbbox(alpha_only=False) is None else None


def _loaded(content: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(content), formats=("JPEG",))
    picture.load()
    return picture


def _refined_to_the_last_bit(content: bytes) -> bool:
    """Of a progressive picture, which may be cut off between two passes (T.81, G.1.1)."""
    frame = max(content.rfind(marker) for marker in _FRAMES)
    coarsest = dict[tuple[int, int], int]()
    for components, first, last, low in _passes(content, content.find(_SCAN, frame)):
        coarsest |= {(component, number): low for component in components for number in range(first, last + 1)}
    everyone = {component for component, _ in coarsest}
    return all(coarsest.get((component, number), 1) == 0 for component in everyone for number in range(64))


def _passes(content: bytes, at: int) -> Iterator[tuple[bytes, int, int, int]]:
    """Of each: the components, the first and the last coefficient, and how many bits are still to come (B.2.3)."""
    while at >= 0:
        end = at + 5 + 2 * content[at + 4] if at + 4 < len(content) else len(content)
        if end + 3 > len(content):
            return
        yield content[at + 5 : end : 2], content[end], min(content[end + 1], 63), content[end + 2] & 15
        at = content.find(_SCAN, end)
