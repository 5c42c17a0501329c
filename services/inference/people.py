"""What of a picture belongs to its people, so that margins and crops leave their heads whole."""

from __future__ import annotations

from services.common.errors import InvalidRequest
from services.imaging.processing.boxes import PixelBox
from services.imaging.processing.margins import SubjectBox, around, subject_box
from services.providers.capabilities.detecting import People
from services.providers.ports import Pixels

# A face's box goes from brow to chin; the head is so much larger, in parts of it.
_ABOVE, _ASIDE, _BELOW = 0.55, 0.3, 0.15


def heads_of(people: People, width: int, height: int) -> tuple[SubjectBox, ...]:
    return tuple(_head(face.box, width, height) for face in people.faces)


def box_with_people(alpha: Pixels, people: People | None, *, sure: bool) -> SubjectBox:
    """Around the subject in `[H, W]` and the heads it reaches. Where it is not `sure`, and where there is none, around
    everybody who was found.

    Raises:
        InvalidRequest: SUBJECT_NOT_FOUND, and nobody either.
    """
    height, width = alpha.shape
    heads = heads_of(people, width, height) if people else ()
    bodies = tuple(_corners(person.box) for person in people.people) if people else ()
    everybody = around(*heads, *bodies) if heads else None
    try:
        subject = subject_box(alpha)
    except InvalidRequest:
        if everybody is None:
            raise
        return everybody
    if not sure and everybody is not None:
        return everybody
    return around(subject, *(head for head in heads if _touch(head, subject)))


def _touch(one: SubjectBox, other: SubjectBox) -> bool:
    across = min(one.right, other.right) - max(one.left, other.left)
    return across > 0 and min(one.bottom, other.bottom) > max(one.top, other.top)


def _head(face: PixelBox, width: int, height: int) -> SubjectBox:
    aside, above, below = (round(share * face.height) for share in (_ASIDE, _ABOVE, _BELOW))
    return SubjectBox(
        max(0, face.left - aside),
        max(0, face.top - above),
        min(width, face.right + aside),
        min(height, face.bottom + below),
    )


def _corners(box: PixelBox) -> SubjectBox:
    return SubjectBox(box.left, box.top, box.right, box.bottom)
