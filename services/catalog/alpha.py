"""What a task does with the transparency of a picture it takes: stated once for each, in the type's own file."""

from __future__ import annotations

from enum import StrEnum


class Alpha(StrEnum):
    """Each in the words of the table in docs/pictures.md."""

    # The result has it, scaled as the picture is.
    KEPT = "kept"
    # The result shows nothing that it hides.
    CUT = "kept, and cut further"
    # It tells where the subject is.
    SUBJECT = "tells the subject"
    # Paint on a transparent canvas marks.
    PAINT = "marks by its paint"
    # What it hides does not count.
    HIDES = "what it hides does not count"
    # It is lost, which the result's notes say.
    LAID_ON_WHITE = "laid on white, and noted"
