"""The faces of a picture redrawn one by one, and blended back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from services.imaging.processing.blending import blend, feathered
from services.imaging.processing.boxes import PixelBox
from services.imaging.processing.colour_matching import match_lab
from services.providers.capabilities.fixing import FaceFix, FixResult
from services.providers.pipelines.measures import SimilarityThresholds, keeps_detail, worst
from services.providers.pipelines.pieces import redraw_pieces, show
from services.providers.pipelines.progress import PieceProgress, PreviewCanvas
from services.providers.pipelines.redrawing import Redrawer, Redrawn, RedrawRequest, doubted, drawn_picture
from services.providers.ports import OnStep, Pixels

PROMPT = "a photo of a face, natural skin, clear eyes, fine detail"


@dataclass(frozen=True, slots=True)
class FaceSettings:
    """`expand` is how much larger than the face its box is (0.5: half as large again); `feather` pixels fade."""

    prompt: str = PROMPT
    expand: float = 0.5
    feather: int = 24
    denoise: float = 0.15
    steps: int = 20
    retries: int = 2
    thresholds: SimilarityThresholds = field(default_factory=partial(SimilarityThresholds, ssim=0.85))
    debug: bool = False


async def fix_faces(fix: FaceFix, settings: FaceSettings, redrawer: Redrawer, on_step: OnStep) -> FixResult:
    """The picture as it was, bit by bit, outside the faces' boxes and where no attempt was accepted."""
    height, width, _ = fix.image.shape
    faces = await redrawer.find_faces(fix.image)
    boxes = [surround(face, settings.expand, width=width, height=height) for face in faces.boxes]
    picture = fix.image.copy()
    progress = PieceProgress(on_step, len(boxes), settings.steps, PreviewCanvas(picture))
    wish = RedrawRequest(
        settings.prompt,
        settings.denoise,
        settings.steps,
        fix.seed,
        match_lab,
        settings.thresholds,
        settings.retries,
        in_own_words=settings.prompt != PROMPT,
        worth=keeps_detail,
    )
    known = not boxes or await redrawer.knows(boxes[0].of(picture))
    redrawn = await redraw_pieces(picture, boxes, wish, redrawer, progress)
    await asyncio.to_thread(lay_back, picture, boxes, redrawn, settings.feather)
    return FixResult(
        doubted(drawn_picture(picture, redrawn, fix.seed), known),
        regions=len(boxes),
        accepted=sum(found.accepted for found in redrawn),
        tries=max((found.tries for found in redrawn), default=0),
        measures=worst(found.measures for found in redrawn),
        debug=tuple(show("face", fix.image, boxes, redrawn)) if settings.debug else (),
        boxes=tuple(boxes),
        finder=faces.finder,
    )


def surround(face: PixelBox, expand: float, *, width: int, height: int) -> PixelBox:
    """The part of the picture that is redrawn for a face."""
    across, down = round(face.width * expand / 2), round(face.height * expand / 2)
    return face.grown(across, down, width=width, height=height)


def lay_back(picture: Pixels, boxes: Sequence[PixelBox], redrawn: Sequence[Redrawn], feather: int) -> None:
    """What was accepted, blended into `picture` in place; nothing else changes."""
    height, width, _ = picture.shape
    for box, found in zip(boxes, redrawn, strict=True):
        if found.accepted:
            blend(picture, found.pixels, box, feathered(box, feather, width=width, height=height))
