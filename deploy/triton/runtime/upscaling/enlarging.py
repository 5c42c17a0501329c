"""A picture enlarged tile by tile, in rows that are done as soon as no further tile reaches into them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from streams import Pixels

from .network import FACTOR, Network
from .resampling import Array, Span, bicubic, lanczos, matrix, resample
from .tiles import Stretch, count, cut

ROUNDS = 3
"""Of back-projection."""


@dataclass(frozen=True)
class Rows:
    """`pixels` is RGB `[rows, W, 3]` of the answer from row `top` on."""

    top: int
    pixels: Pixels


@dataclass(frozen=True)
class Step:
    """`done` of `of` tiles; `rows` where the tile finished some."""

    done: int
    of: int
    rows: Rows | None = None


def enlarge(network: Network, image: Pixels, width: int, height: int) -> Iterator[Step]:
    """RGB `[H, W, 3]` to `width` by `height`, one step a tile: dropping the iterator ends the work.

    Raises ModelFailed.
    """
    sizes = stages(image.shape[1], image.shape[0], width, height)
    done, of = 0, sum(count(wide) * count(high) for wide, high in sizes[:-1])
    for wide, high in sizes[1:-1]:
        larger = np.empty((high, wide, 3), np.uint8)
        for rows in _stage(network, image, wide, high):
            done += 1
            if rows is not None:
                larger[rows.top : rows.top + len(rows.pixels)] = rows.pixels
            yield Step(done, of)
        image = larger
    for rows in _stage(network, image, width, height):
        done += 1
        yield Step(done, of, rows)


def stages(width: int, height: int, to_width: int, to_height: int) -> list[tuple[int, int]]:
    """The sizes a picture goes through, its own first: by the network's factor as long as more is asked for."""
    sizes = [(width, height)]
    while max(to_width / width, to_height / height) > FACTOR:
        width, height = min(width * FACTOR, to_width), min(height * FACTOR, to_height)
        sizes.append((width, height))
    return [*sizes, (to_width, to_height)]


def _stage(network: Network, image: Pixels, width: int, height: int) -> Iterator[Rows | None]:
    """What each tile finished, at most `FACTOR` times the picture's size. Memory is one row of tiles."""
    down, across = cut(image.shape[0], height), cut(image.shape[1], width)
    kept = np.zeros((0, width, 3), np.float32)
    top = 0
    for row, column in itertools.product(range(len(down)), range(len(across))):
        high, wide = down[row], across[column]
        if column == 0:
            kept = np.concatenate([kept, np.zeros((high.until - top - len(kept), width, 3), np.float32)])
        made = _tile(network, image, high, wide, (width, height))
        made *= high.weights[:, None, None] * wide.weights[None, :, None]
        kept[high.into - top :, wide.into : wide.until] += made
        if column < len(across) - 1:
            yield None
            continue
        until = down[row + 1].into if row + 1 < len(down) else height
        yield Rows(top, np.rint(kept[: until - top]).astype(np.uint8))
        kept, top = kept[until - top :].copy(), until


def _tile(network: Network, image: Pixels, high: Stretch, wide: Stretch, size: tuple[int, int]) -> Array:
    """Float RGB of the answer's part that the two stretches tell, 0 to 255."""
    small = image[high.first : high.end, wide.first : wide.end].astype(np.float32)
    axes = [
        _Axis.of(stretch, length, answer)
        for stretch, length, answer in zip((high, wide), image.shape[:2], size[::-1], strict=True)
    ]
    rows, columns = axes
    made = resample(network.enlarge(small), rows.fit, columns.fit)
    return back_projected(made, small, rows, columns)


@dataclass(frozen=True)
class _Axis:
    """From the network's answer to ours, from ours back to the picture, and from the picture to ours."""

    fit: Array
    shrink: Array
    grow: Array

    @classmethod
    def of(cls, stretch: Stretch, length: int, answer: int) -> _Axis:
        small = Span(stretch.first, stretch.end, length)
        network = Span(stretch.first * FACTOR, stretch.end * FACTOR, length * FACTOR)
        ours = Span(stretch.into, stretch.until, answer)
        return cls(matrix(network, ours, lanczos), matrix(ours, small, bicubic), matrix(small, ours, bicubic))


def back_projected(made: Array, small: Array, rows: _Axis, columns: _Axis) -> Array:
    """`made` corrected until it shrinks back to `small`: detail that the picture contradicts goes (Irani and Peleg)."""
    for _ in range(ROUNDS):
        missing = small - resample(made, rows.shrink, columns.shrink)
        made = made + resample(missing, rows.grow, columns.grow)
    return np.clip(made, 0, 255)
