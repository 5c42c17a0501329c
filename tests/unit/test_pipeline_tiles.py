"""Tiles cover a picture and come back together without a seam."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from services.imaging.processing.blending import blend, feathered, join
from services.imaging.processing.boxes import PixelBox
from services.imaging.processing.tiles import Grid, cut, lay_out
from services.providers.ports import Pixels

SIDES = some.integers(1, 500)


def plain(grid: Grid, *levels: int) -> list[Pixels]:
    """A piece of one level for each tile."""
    sizes = [(tile.kept.height, tile.kept.width, 3) for tile in grid]
    return [np.full(size, level, np.uint8) for size, level in zip(sizes, levels, strict=True)]


@settings(max_examples=150, deadline=None)
@given(width=SIDES, height=SIDES, tiles=some.integers(1, 64), feather=some.integers(0, 200))
def test_tiles_of_any_picture_give_it_back_bit_by_bit(width: int, height: int, tiles: int, feather: int) -> None:
    picture = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    grid = cut(width, height, tiles=tiles, feather=feather)
    for tile in grid:
        assert 0 <= tile.drawn.left <= tile.kept.left < tile.kept.right <= tile.drawn.right <= width
        assert 0 <= tile.drawn.top <= tile.kept.top < tile.kept.bottom <= tile.drawn.bottom <= height
    assert np.array_equal(join(grid, [tile.kept.of(picture) for tile in grid]), picture)


@pytest.mark.parametrize(
    ("width", "height", "tiles", "layout"),
    [
        (1000, 1000, 4, (2, 2)),
        (2000, 1000, 2, (2, 1)),
        (1000, 2000, 8, (2, 4)),
        (1000, 3000, 3, (1, 3)),
        (1000, 1000, 1, (1, 1)),
        (20, 20, 64, (1, 1)),
    ],
)
def test_the_grid_follows_the_picture_s_proportions(
    width: int, height: int, tiles: int, layout: tuple[int, int]
) -> None:
    assert lay_out(width, height, tiles) == layout


def test_the_model_sees_more_of_a_tile_than_is_kept() -> None:
    first = next(iter(cut(400, 400, tiles=4, feather=20)))
    assert (first.kept, first.drawn) == (PixelBox(0, 0, 210, 210), PixelBox(0, 0, 226, 226))


def test_tiles_that_differ_fade_into_each_other_without_a_step() -> None:
    grid = cut(200, 200, tiles=4, feather=40)
    joined = join(grid, plain(grid, 60, 100, 80, 120)).astype(int)
    assert (joined[0, 0, 0], joined[0, -1, 0], joined[-1, 0, 0], joined[-1, -1, 0]) == (60, 100, 80, 120)
    assert max(np.abs(np.diff(joined, axis=axis)).max() for axis in (0, 1)) <= 2
    assert 85 <= joined[100, 100, 0] <= 95


def test_without_a_feather_the_seam_is_hard() -> None:
    grid = cut(200, 100, tiles=2, feather=0)
    assert np.unique(join(grid, plain(grid, 0, 200))).tolist() == [0, 200]


def test_a_blended_piece_fades_at_its_edges_but_not_at_the_picture_s() -> None:
    picture, box = np.zeros((100, 100, 3), np.uint8), PixelBox(0, 20, 60, 60)
    before = picture.copy()
    blend(picture, np.full((60, 60, 3), 255, np.uint8), box, feathered(box, 10, width=100, height=100))
    assert picture[50, 0, 0] == picture[50, 30, 0] == 255
    assert 0 < picture[50, 59, 0] < 30
    assert 0 < picture[20, 30, 0] < 30
    box.of(before)[:] = box.of(picture)
    assert np.array_equal(before, picture)
