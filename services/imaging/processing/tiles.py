"""How a large picture is cut into pieces that a diffusion model can draw."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from services.imaging.processing.boxes import PixelBox

# Pixels beside a tile that the model sees and that are thrown away: its edges know too little of what goes on there.
CONTEXT = 16
_LEAST_SIDE = 32


@dataclass(frozen=True, slots=True)
class Tile:
    """`drawn` is what the model is given, `kept` (inside it) what of its answer goes into the picture."""

    row: int
    column: int
    kept: PixelBox
    drawn: PixelBox


@dataclass(frozen=True, slots=True)
class Grid:
    """Tiles by rows. Neighbours share `feather` pixels, in which one fades into the other."""

    width: int
    height: int
    feather: int
    rows: tuple[tuple[Tile, ...], ...]

    def __iter__(self) -> Iterator[Tile]:
        return (tile for row in self.rows for tile in row)

    def __len__(self) -> int:
        return sum(map(len, self.rows))


def cut(width: int, height: int, *, tiles: int, feather: int) -> Grid:
    """About `tiles` tiles in a grid that follows the picture's proportions; fewer where they would become too small."""
    columns, rows = lay_out(width, height, tiles)
    across, down = _edges(width, columns), _edges(height, rows)
    narrowest = min(right - left for edges in (across, down) for left, right in pairwise(edges))
    half = min(feather, narrowest) // 2

    def tile(row: int, column: int) -> Tile:
        cell = PixelBox(across[column], down[row], across[column + 1] - across[column], down[row + 1] - down[row])
        kept = cell.grown(half, half, width=width, height=height)
        return Tile(row, column, kept, kept.grown(CONTEXT, CONTEXT, width=width, height=height))

    found = tuple(tuple(tile(row, column) for column in range(columns)) for row in range(rows))
    return Grid(width, height, 2 * half, found)


def lay_out(width: int, height: int, tiles: int) -> tuple[int, int]:
    """Columns and rows: as many cells as asked for, as square as can be, both by the ratio they are off."""
    most_columns, most_rows = max(width // _LEAST_SIDE, 1), max(height // _LEAST_SIDE, 1)

    def off(layout: tuple[int, int]) -> float:
        columns, rows = layout
        return abs(math.log(columns * rows / tiles)) + abs(math.log(width * rows / (height * columns)))

    choices = (
        (columns, max(1, min(round(tiles / columns), most_rows))) for columns in range(1, min(tiles, most_columns) + 1)
    )
    return min(choices, key=off)


def _edges(length: int, parts: int) -> list[int]:
    return [length * part // parts for part in range(parts + 1)]
