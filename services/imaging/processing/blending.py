"""Pieces back into one picture, without a visible edge."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.imaging.processing.arrays import Pixels
from services.imaging.processing.boxes import PixelBox
from services.imaging.processing.tiles import Grid


def join(grid: Grid, pieces: Sequence[Pixels]) -> Pixels:
    """The picture `[H, W, 3]` of what each tile keeps, in the grid's order.

    Tiles fade linearly into their right neighbours, and the strips so made into the ones below: together bilinear.
    """
    picture = np.empty((grid.height, grid.width, 3), np.uint8)
    taken = iter(pieces)
    for row in grid.rows:
        first = row[0].kept
        strip = np.empty((first.height, grid.width, 3), np.uint8)
        for tile in row:
            _lay(strip, next(taken), tile.kept.left, grid.feather if tile.column else 0)
        _lay(picture.swapaxes(0, 1), strip.swapaxes(0, 1), first.top, grid.feather if row[0].row else 0)
    return picture


def _lay(onto: Pixels, piece: Pixels, at: int, fade: int) -> None:
    """Over the columns of `onto` from `at` on; the first `fade` of them cross over from what lies there."""
    rising = np.linspace(0.5, fade - 0.5, fade, dtype=np.float32).reshape(1, -1, 1) / np.float32(max(fade, 1))
    under, over = onto[:, at : at + fade], piece[:, :fade]
    onto[:, at : at + fade] = _mixed(under, over, rising)
    onto[:, at + fade : at + piece.shape[1]] = piece[:, fade:]


def feathered(box: PixelBox, feather: int, *, width: int, height: int) -> NDArray[np.float32]:
    """Weights `[h, w]` of `box`: 1 inside, falling to 0 over `feather` pixels at its edges.

    Edges of the picture itself, which is `width`x`height`, do not fade.
    """
    across = _rise(box.width, feather, fade_first=box.left > 0, fade_last=box.right < width)
    down = _rise(box.height, feather, fade_first=box.top > 0, fade_last=box.bottom < height)
    return np.outer(down, across)


def _rise(length: int, feather: int, *, fade_first: bool, fade_last: bool) -> NDArray[np.float32]:
    steps = np.arange(length, dtype=np.float32)
    weights = np.ones(length, np.float32)
    reach = min(feather, length // 2)
    if reach and fade_first:
        weights = np.minimum(weights, (steps + 0.5) / reach)
    if reach and fade_last:
        weights = np.minimum(weights, (length - 0.5 - steps) / reach)
    return weights


def blend(picture: Pixels, piece: Pixels, box: PixelBox, weights: NDArray[np.float32]) -> None:
    """Lays `piece` over that part of `picture`, in place; where a weight of `[h, w]` is 0, nothing changes."""
    box.of(picture)[:] = _mixed(box.of(picture), piece, weights[:, :, None])


def _mixed(under: Pixels, over: Pixels, share: NDArray[np.float32]) -> Pixels:
    difference = over.astype(np.float32) - under
    mixed: Pixels = (under + difference * share + 0.5).astype(np.uint8)
    return mixed
