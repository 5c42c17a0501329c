"""A garment's details made as a reference shows them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from services.imaging.processing.aligning import FARTHEST, CutOut, cut_part, dress
from services.imaging.processing.blending import blend, feathered
from services.imaging.processing.boxes import PixelBox
from services.imaging.processing.colour_matching import match_lab
from services.imaging.processing.tiles import Grid, cut
from services.providers.capabilities.fixing import FixResult, GarmentFix
from services.providers.capabilities.measures import DebugPicture
from services.providers.pipelines.faces import FindFaces
from services.providers.pipelines.garments import find_garment
from services.providers.pipelines.matting import LIKELY, matte_of
from services.providers.pipelines.measures import SimilarityThresholds, comes_nearer, worst
from services.providers.pipelines.pieces import join_tiles, redraw_pieces, show
from services.providers.pipelines.progress import PieceProgress, PreviewCanvas
from services.providers.pipelines.redrawing import Redrawer, Redrawn, RedrawRequest, all_of, doubted, drawn_picture
from services.providers.ports import Matting, OnStep, Pixels


@dataclass(frozen=True, slots=True)
class GarmentSettings:
    """A box `expand` larger than the garment, in two tiles when longer than `split` times its width."""

    expand: float = 0.05
    split: float = 1.6
    feather: int = 24
    denoise: float = 0.2
    steps: int = 20
    retries: int = 2
    thresholds: SimilarityThresholds = field(default_factory=partial(SimilarityThresholds, ssim=0.4))
    debug: bool = False


@dataclass(frozen=True, slots=True)
class _Found:
    """The garment in a picture: its box, what is in it, and whether its outline is more likely right than wrong."""

    box: PixelBox
    cut: CutOut
    is_sure: bool


async def fix_garment(
    fix: GarmentFix, settings: GarmentSettings, redrawer: Redrawer, matting: Matting, on_step: OnStep
) -> FixResult:
    """The picture as it was, bit by bit, outside the garment's box and its subject, and where nothing was accepted.

    No garment in one of the pictures: no regions. Raises what the models raise.
    """
    base, reference = await all_of(
        [
            partial(_find, pixels, fix.label, settings.expand, matting, redrawer.find_faces)
            for pixels in (fix.image, fix.reference)
        ],
        2,
    )
    nothing = FixResult(drawn_picture(fix.image, (), fix.seed), regions=0, accepted=0, tries=0)
    if base is None:
        return nothing
    if reference is None:
        return replace(nothing, reference_fits=not base.is_sure)
    work = _GarmentJob(fix, settings, redrawer, base, reference)
    start = await asyncio.to_thread(work.dressed)
    if start is None:
        return replace(nothing, reference_fits=not base.is_sure)
    return await work.run(start, on_step)


@dataclass(frozen=True, slots=True)
class _GarmentJob:
    """One garment, found in both pictures."""

    fix: GarmentFix
    settings: GarmentSettings
    redrawer: Redrawer
    base: _Found
    reference: _Found

    def dressed(self) -> Pixels | None:
        """The garment as the reference shows it; None where that shows another. Who asks for nothing gets any."""
        # Of a small garment little would be left.
        feather = min(self.settings.feather, min(self.base.cut.alpha.shape) // 20)
        sure = self.base.is_sure and self.reference.is_sure
        farthest = FARTHEST if self.settings.thresholds.asked() else None
        return dress(self.base.cut, self.reference.cut, feather, sure=sure, farthest=farthest)

    async def run(self, start: Pixels, on_step: OnStep) -> FixResult:
        """A model that was made for other pictures draws nothing here: the reference's own pixels are nearer."""
        before = self.base.cut.pixels
        known = await self.redrawer.knows(start)
        grid = self._grid()
        boxes = [tile.drawn for tile in grid]
        progress = PieceProgress(on_step, len(grid), self.settings.steps, PreviewCanvas(before))
        redrawn = await redraw_pieces(before, boxes, self._wish(known), self.redrawer, progress, start=start)
        picture = await asyncio.to_thread(self._lay_back, grid, redrawn)
        debug = (*self._show_start(start), *show("garment", before, boxes, redrawn))
        return FixResult(
            doubted(drawn_picture(picture, redrawn, self.fix.seed), known),
            regions=len(grid),
            accepted=sum(found.accepted for found in redrawn),
            tries=max(found.tries for found in redrawn),
            measures=worst(found.measures for found in redrawn),
            debug=debug if self.settings.debug else (),
            boxes=tuple(tile.kept.moved(self.base.box.left, self.base.box.top) for tile in grid),
        )

    def _grid(self) -> Grid:
        width, height = self.base.box.width, self.base.box.height
        is_long = max(width, height) > self.settings.split * min(width, height)
        return cut(width, height, tiles=2 if is_long else 1, feather=self.settings.feather)

    def _wish(self, known: bool) -> RedrawRequest:
        return RedrawRequest(
            f"a detailed photo of a {self.fix.label or 'garment'}",
            self.settings.denoise if known else 0.0,
            self.settings.steps,
            self.fix.seed,
            match_lab,
            self.settings.thresholds,
            self.settings.retries,
            in_own_words=self.fix.label is not None,
            worth=comes_nearer,
        )

    def _lay_back(self, grid: Grid, redrawn: Sequence[Redrawn]) -> Pixels:
        """On the subject only, and fading towards the box's edges."""
        picture = self.fix.image.copy()
        height, width, _ = picture.shape
        weights = feathered(self.base.box, self.settings.feather, width=width, height=height)
        weights *= self.base.cut.alpha.astype(np.float32) / 255
        blend(picture, join_tiles(grid, redrawn), self.base.box, weights)
        return picture

    def _show_start(self, start: Pixels) -> tuple[DebugPicture, ...]:
        return (
            DebugPicture("garment-matte", self.base.cut.alpha),
            DebugPicture("garment-reference", self.reference.cut.pixels),
            DebugPicture("garment-start", start),
        )


async def _find(
    pixels: Pixels, label: str | None, expand: float, matting: Matting, find_faces: FindFaces
) -> _Found | None:
    matte = await matte_of(pixels, matting)
    faces = await find_faces(pixels)
    garment = await asyncio.to_thread(find_garment, pixels, matte.alpha, label, faces.boxes)
    if garment is None:
        return None
    height, width, _ = pixels.shape
    across, down = round(garment.width * expand / 2), round(garment.height * expand / 2)
    box = garment.grown(across, down, width=width, height=height)
    return _Found(box, cut_part(pixels, matte.alpha, box), matte.confidence >= LIKELY)
