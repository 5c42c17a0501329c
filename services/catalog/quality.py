"""Why a result did not pass its own measures: the stable words of `quality.reasons`."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Each is explained in docs/pictures.md."""

    # The matte is more likely wrong than right: methods disagree, or no edge supports the outline.
    LOW_CONFIDENCE = "LOW_CONFIDENCE"
    # Whole rectangles on a transparent canvas, several or turned: things cut out, or photographs that were not.
    PHOTOGRAPHS_NOT_CUT = "PHOTOGRAPHS_NOT_CUT"
    # Pieces of which no attempt was near enough stayed as they were.
    TILES_REFUSED = "TILES_REFUSED"
    FACES_REFUSED = "FACES_REFUSED"
    # The model was made for other pictures, or nothing came of it.
    PICTURE_UNLIKE_MODEL = "PICTURE_UNLIKE_MODEL"
    NOTHING_CHANGED = "NOTHING_CHANGED"
    # The reference shows something else than the picture, which is as it was.
    REFERENCE_UNLIKE = "REFERENCE_UNLIKE"
    # Nothing to work on; the picture is as it was.
    FACE_NOT_FOUND = "FACE_NOT_FOUND"
    GARMENT_NOT_FOUND = "GARMENT_NOT_FOUND"
    # The subject fills the picture, or nothing was far enough from it to change.
    BACKGROUND_NOT_FOUND = "BACKGROUND_NOT_FOUND"
    # All of the background, or more than half of it, is darker than the thresholds let change.
    BACKGROUND_TOO_DARK = "BACKGROUND_TOO_DARK"
    BACKGROUND_PARTLY_CHANGED = "BACKGROUND_PARTLY_CHANGED"
