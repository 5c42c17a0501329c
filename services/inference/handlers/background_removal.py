"""Cuts the subject out of each picture: PNG with alpha."""

from __future__ import annotations

from services.catalog.quality import Reason
from services.catalog.results import PictureModel
from services.catalog.tasks.background_removal import BackgroundRemovalParams, BackgroundRemovalResult
from services.common.errors import InvalidRequest
from services.imaging.processing.layers import take_apart
from services.imaging.processing.transparency import check_visible, opaque_colours, with_alpha
from services.inference.context import RunContext
from services.inference.generation_facts import result_model
from services.inference.lineage import Lineage
from services.inference.originals import OriginalPicture
from services.inference.pictures import encode_png
from services.inference.provenance import DigitalSource
from services.inference.similarity import judged
from services.inference.subjects import PictureSubject, find_subject

# A subject is as good as opaque somewhere; a matte that is not speaks of traces.
_SEEN = 128
# A hundredth of the picture is the least background there is.
_LEAST_BACKGROUND = 0.01


async def run(params: BackgroundRemovalParams, context: RunContext) -> BackgroundRemovalResult:
    """One after the other, in the order given; one that fails fails the task. Colours, size and ICC profile stay.

    Raises:
        InvalidRequest: a picture cannot be read; RESULT_EMPTY, as no subject was found in one.
        Unavailable: the model is away; may pass.
    """
    paths: list[str] = []
    subjects: list[PictureSubject] = []
    doubts: list[Reason] = []
    total = len(params.input_image_paths)
    for number, reference in enumerate(params.input_image_paths, start=1):
        called = f"input_image_paths[{number - 1}]"
        picture = await context.load_original(reference, called=called, grey=False)
        subject = await find_subject(picture, context)
        png = await context.work(
            _encode, picture, subject, called, f"no subject was found in picture {number} of {total}"
        )
        paths.append(await context.outputs.save(f"cutout-{number}.png", png))
        subjects.append(subject)
        doubts += subject.model_warnings + await context.work(_unseparated, subject)
        await context.progress.report("cutting out", number, total)
    cards = [subject.card for subject in subjects]
    return BackgroundRemovalResult(
        result_image_paths=paths,
        confidences=[subject.confidence for subject in subjects],
        models=[PictureModel.model_validate(result_model(card)) for card in cards],
        **result_model(cards[0] if len(set(cards)) == 1 else None),
        notes=context.notes,
        quality=judged(doubts),
    )


def _unseparated(subject: PictureSubject) -> list[Reason]:
    """Where nothing is cut off, though there is something to be seen."""
    if subject.matte is None or float((subject.matte < _SEEN).mean()) >= _LEAST_BACKGROUND:
        return []
    return [Reason.BACKGROUND_NOT_FOUND]


def _encode(picture: OriginalPicture, subject: PictureSubject, called: str, otherwise: str) -> bytes:
    """Where a matte mixes subject and background, the subject's own colour is shown, so that no rim comes along."""
    colours = opaque_colours(picture.pixels)
    if subject.matte is not None:
        if int(subject.alpha.max()) < _SEEN:
            raise InvalidRequest(otherwise, reason="RESULT_EMPTY")
        colours = take_apart(colours, subject.matte).subject
    pixels = with_alpha(colours, subject.alpha)
    check_visible(pixels, otherwise)
    recipe = subject.facts if subject.model is None else {**subject.facts, "model": subject.model}
    shown, lineage = picture.in_own_mode(pixels), Lineage.of({called: picture})
    return encode_png(shown, recipe, source=DigitalSource.ENHANCED, icc=picture.profile, lineage=lineage)
