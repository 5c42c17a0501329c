"""Several pieces of one picture redrawn at the same time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from services.imaging.processing.blending import join
from services.imaging.processing.boxes import PixelBox
from services.imaging.processing.tiles import Grid
from services.providers.capabilities.measures import DebugPicture
from services.providers.pipelines.progress import PieceProgress
from services.providers.pipelines.redrawing import Redrawer, Redrawn, RedrawRequest, all_of, redraw
from services.providers.ports import Pixels


async def redraw_pieces(
    before: Pixels,
    boxes: Sequence[PixelBox],
    wish: RedrawRequest,
    redrawer: Redrawer,
    progress: PieceProgress,
    *,
    start: Pixels | None = None,
    first: int = 0,
    at_once: int | None = None,
) -> list[Redrawn]:
    """Each of `boxes` on its own. `start`, else `before`, is what drawing begins at; both are `[H, W, 3]`.

    `first` is the number that the first of them has to `progress`. Raises what the model raises.
    """
    begun = before if start is None else start

    async def one(number: int, box: PixelBox) -> Redrawn:
        found = await redraw(box.of(before), wish, redrawer, progress.of(number), start=box.of(begun))
        progress.preview.lay(box, found.pixels)
        await progress.end(number)
        return found

    return await all_of([partial(one, number, box) for number, box in enumerate(boxes, start=first)], at_once)


def join_tiles(grid: Grid, redrawn: Sequence[Redrawn]) -> Pixels:
    """The picture that the grid cuts, of what each tile keeps."""
    pieces = [tile.kept.within(tile.drawn).of(found.pixels) for tile, found in zip(grid, redrawn, strict=True)]
    return join(grid, pieces)


def show(what: str, before: Pixels, boxes: Sequence[PixelBox], redrawn: Sequence[Redrawn]) -> Iterator[DebugPicture]:
    """Each piece before, and every attempt at it."""
    for number, (box, found) in enumerate(zip(boxes, redrawn, strict=True), start=1):
        yield DebugPicture(f"{what}-{number}-before", box.of(before).copy())
        for attempt, pixels in enumerate(found.attempts, start=1):
            yield DebugPicture(f"{what}-{number}-attempt-{attempt}", pixels)
