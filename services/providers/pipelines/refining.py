"""A picture enlarged, then redrawn tile by tile, then its faces."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from services.catalog.enums import ProviderCapability, RefineStrategy
from services.common.errors import InvalidRequest
from services.imaging.limits import MAX_PIXELS, MAX_SIDE
from services.imaging.processing.boxes import PixelBox
from services.imaging.processing.colour_matching import match_histogram, match_lab
from services.imaging.processing.scaling import enlarge, scaled
from services.imaging.processing.tiles import Grid, cut
from services.providers.capabilities.measures import DebugPicture, SimilarityScore
from services.providers.capabilities.refining import DiffusionPass, Refinement, RefineResultPicture
from services.providers.capabilities.upscaling import target_size
from services.providers.pipelines.face_fixing import PROMPT as FACE_PROMPT
from services.providers.pipelines.face_fixing import lay_back, surround
from services.providers.pipelines.measures import SimilarityThresholds, keeps_colours, keeps_detail, worst
from services.providers.pipelines.pieces import join_tiles, redraw_pieces, show
from services.providers.pipelines.progress import PieceProgress, PreviewCanvas
from services.providers.pipelines.redrawing import UNTOUCHED, Redrawer, Redrawn, RedrawRequest, doubted, drawn_picture
from services.providers.ports import ModelCard, OnStep, Pixels

CAPABILITIES = frozenset(
    {
        ProviderCapability.UPSCALE_2X,
        ProviderCapability.UPSCALE_4X,
        ProviderCapability.UPSCALE_8X,
        ProviderCapability.UPSCALE_FLOAT,
        ProviderCapability.OUTPUT_SIZE,
        ProviderCapability.FACE_DETAIL,
    }
)
PROMPT = "a sharp, detailed photo"
LANCZOS = ModelCard("lanczos", "", "")
FOUR_K = 4096
# Where the number of tiles is left to us.
_MOST_TILES = 64


@dataclass(frozen=True, slots=True)
class RefinerSettings:
    """`tiles` None chooses tiles of the model's own size; `workers` None draws as many at a time as make sense.

    Version "1" corrects colours in Lab, makes the picture as large as asked for and sees to faces; "2" matches
    histograms, makes the longer side 4096 pixels whatever was asked for, and leaves faces alone.
    """

    version: Literal["1", "2"] = "1"
    tiles: int | None = None
    workers: int | None = None
    feather: int = 32
    face_expand: float = 0.5
    retries: int = 1
    thresholds: SimilarityThresholds = field(default_factory=partial(SimilarityThresholds, ssim=0.9))
    debug: bool = False


async def refine(
    wanted: Refinement, settings: RefinerSettings, redrawer: Redrawer, on_step: OnStep
) -> RefineResultPicture:
    """A tile or face of which no attempt is accepted stays as the plain Lanczos enlargement.

    Raises:
        InvalidRequest: the answer would be too large, or version "2" is asked for faces alone.
        Overloaded, Unavailable, Internal: as the model says.
    """
    if settings.version == "2":
        wanted = _without_faces(wanted)
    width, height = output_size(wanted, settings)
    plain = await asyncio.to_thread(enlarge, wanted.image, width, height)
    faces = (await redrawer.find_faces(plain)).boxes if wanted.faces else ()
    boxes = [surround(face, settings.face_expand, width=width, height=height) for face in faces]
    grid = _cut(wanted, settings, redrawer, width, height)
    steps = max((found.steps for found in (wanted.upscale, wanted.faces) if found), default=1)
    progress = PieceProgress(on_step, len(grid or ()) + len(boxes), steps, PreviewCanvas(plain))
    base = UNTOUCHED if plain.shape == wanted.image.shape else LANCZOS
    return await RefineJob(wanted, settings, redrawer, progress, plain, grid, boxes, base).run()


def _without_faces(wanted: Refinement) -> Refinement:
    if wanted.upscale is None:
        raise InvalidRequest("version '2' of the refiner leaves faces alone", reason="NOTHING_TO_DO")
    return replace(wanted, faces=None)


@dataclass(frozen=True, slots=True)
class RefineJob:
    """One picture being refined; `base` is what made `plain`, the picture as it is before anything is redrawn."""

    wanted: Refinement
    settings: RefinerSettings
    redrawer: Redrawer
    progress: PieceProgress
    plain: Pixels
    grid: Grid | None
    boxes: Sequence[PixelBox]
    base: ModelCard

    async def run(self) -> RefineResultPicture:
        known = await self._is_known()
        tiles = await self._redraw_tiles()
        picture = self.plain if self.grid is None else await asyncio.to_thread(join_tiles, self.grid, tiles)
        faced = picture.copy() if self.boxes else picture
        faces = await self._redraw_faces(faced)
        seed = (self.wanted.upscale or self.wanted.faces or DiffusionPass(0, 0, 0)).seed
        debug = (*self._show_tiles(tiles), *show("face", picture, self.boxes, faces))
        return RefineResultPicture(
            doubted(drawn_picture(faced, (*tiles, *faces), seed, plain=self.base), known),
            tiles=len(tiles),
            found_faces=len(self.boxes),
            refused_tiles=sum(not tile.accepted for tile in tiles),
            refused_faces=sum(not face.accepted for face in faces),
            measures=_noted(tiles, faces),
            debug=debug if self.settings.debug else (),
            strategy=RefineStrategy.CREATIVE if self.wanted.upscale else None,
        )

    async def _is_known(self) -> bool:
        """Whether the model was made for such pictures; True where it is to draw none."""
        passes = (self.wanted.upscale if self.grid else None, self.wanted.faces if self.boxes else None)
        draws = any(asked is not None and asked.denoise for asked in passes)
        return not draws or await self.redrawer.knows(self.plain)

    async def _redraw_tiles(self) -> list[Redrawn]:
        if self.grid is None or self.wanted.upscale is None:
            return []
        match = match_lab if self.settings.version == "1" else match_histogram
        wish = replace(self._wish(self.wanted.upscale, PROMPT), match=match, worth=keeps_colours)
        boxes = [tile.drawn for tile in self.grid]
        at_once = self.settings.workers
        return await redraw_pieces(self.plain, boxes, wish, self.redrawer, self.progress, at_once=at_once)

    async def _redraw_faces(self, picture: Pixels) -> list[Redrawn]:
        if self.wanted.faces is None:
            return []
        wish = replace(self._wish(self.wanted.faces, FACE_PROMPT), worth=keeps_detail)
        first = len(self.grid or ())
        faces = await redraw_pieces(picture, self.boxes, wish, self.redrawer, self.progress, first=first)
        await asyncio.to_thread(lay_back, picture, self.boxes, faces, self.settings.feather)
        return faces

    def _wish(self, asked: DiffusionPass, prompt: str) -> RedrawRequest:
        return RedrawRequest(
            asked.prompt or prompt,
            asked.denoise,
            asked.steps,
            asked.seed,
            match_lab,
            self.settings.thresholds,
            self.settings.retries,
            in_own_words=bool(asked.prompt),
        )

    def _show_tiles(self, tiles: Sequence[Redrawn]) -> list[DebugPicture]:
        grid = list(self.grid or ())
        return list(show("tile", self.plain, [tile.drawn for tile in grid], tiles))


def output_size(wanted: Refinement, settings: RefinerSettings) -> tuple[int, int]:
    """Width and height of the answer; the picture's own where it is not to be enlarged.

    Raises:
        InvalidRequest: TOO_MANY_PIXELS.
    """
    height, width, _ = wanted.image.shape
    if wanted.upscale is None:
        return width, height
    if settings.version == "2":
        return scaled(width, height, FOUR_K / max(width, height))
    size = target_size(wanted)
    if size[0] * size[1] > MAX_PIXELS or max(size) > MAX_SIDE:
        raise InvalidRequest(
            f"{size[0]}x{size[1]} is more than {MAX_PIXELS} pixels or {MAX_SIDE} on a side", reason="TOO_MANY_PIXELS"
        )
    return max(size[0], 1), max(size[1], 1)


def _cut(wanted: Refinement, settings: RefinerSettings, redrawer: Redrawer, width: int, height: int) -> Grid | None:
    if wanted.upscale is None:
        return None
    own = min(math.ceil(width * height / redrawer.sizes.native), _MOST_TILES)
    return cut(width, height, tiles=settings.tiles or own, feather=settings.feather)


def _noted(tiles: Sequence[Redrawn], faces: Sequence[Redrawn]) -> tuple[SimilarityScore, ...]:
    """The worst of every measure, with how many pieces were refused."""
    refused = [
        f"{sum(not piece.accepted for piece in pieces)} of {len(pieces)} {what} not accepted and left as they were"
        for what, pieces in (("tiles", tiles), ("faces", faces))
        if not all(piece.accepted for piece in pieces)
    ]
    found = worst(piece.measures for piece in (*tiles, *faces))
    return tuple(replace(measure, note="; ".join(filter(None, (measure.note, *refused)))) for measure in found)
