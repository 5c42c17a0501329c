"""What a HEIC, HEIF or AVIF holds beside the picture it shows (ISO/IEC 23008-12). Runs in the child process only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from services.imaging.embedding.boxes import BmffBox, Fields, boxes_of
from services.imaging.embedding.edits import CannotEmbed, Content
from services.imaging.notes import Note

# By the end of the name of an auxiliary picture; what only an alpha channel is called is taken.
_AUXILIARIES = {
    "aux:hdrgainmap": Note.GAIN_MAP_LEFT_OUT,
    "hevc:2015:auxid:2": Note.DEPTH_MAP_LEFT_OUT,
    "auxiliary:depth": Note.DEPTH_MAP_LEFT_OUT,
    "aux:disparity": Note.DEPTH_MAP_LEFT_OUT,
    "aux:depth": Note.DEPTH_MAP_LEFT_OUT,
}
_ALPHA = ("hevc:2015:auxid:1", "avc:2015:auxid:1", "auxiliary:alpha")
_NO_PICTURES = frozenset((b"Exif", b"mime", b"uri ", b"tmap"))
# Of a fragmented meta box: its own kind of content begins behind a version and flags.
_VERSION = 4


@dataclass(slots=True)
class _Index:
    """`kinds` of the items that are not hidden; `parts` are those that only make up or accompany another."""

    kinds: dict[int, bytes] = field(default_factory=dict)
    parts: set[int] = field(default_factory=set)
    auxiliaries: set[str] = field(default_factory=set)
    has_gain_map: bool = False

    @property
    def shown(self) -> int:
        """How many pictures there are by themselves."""
        return sum(kind not in _NO_PICTURES and number not in self.parts for number, kind in self.kinds.items())


def beside(content: Content) -> Iterator[Note]:
    """As far as its boxes can be followed."""
    index = _Index()
    # Whoever decodes the picture says whether what cannot be followed matters.
    with suppress(CannotEmbed):
        yield from _read(content, index)
    if index.shown > 1:
        yield Note.FIRST_PAGE_ONLY
    if index.has_gain_map:
        yield Note.GAIN_MAP_LEFT_OUT
    yield from (_note_of(name) for name in sorted(index.auxiliaries) if not name.endswith(_ALPHA))


def _read(content: Content, index: _Index) -> Iterator[Note]:
    for box in boxes_of(content):
        if box.kind == b"meta":
            _read_meta(content, box, index)
        elif box.kind == b"mpvd":
            yield Note.MOTION_LEFT_OUT
        elif box.kind == b"moov":
            yield Note.ANIMATION_FIRST_FRAME


def _note_of(name: str) -> Note:
    return next((note for end, note in _AUXILIARIES.items() if name.endswith(end)), Note.AUXILIARY_LEFT_OUT)


def _read_meta(content: Content, meta: BmffBox, index: _Index) -> None:
    for box in boxes_of(content, meta.body + _VERSION, meta.end):
        if box.kind == b"iinf":
            _read_items(content, box, index)
        elif box.kind == b"iref":
            _read_references(content, box, index)
        elif box.kind == b"iprp":
            _read_properties(content, box, index)


def _read_items(content: Content, box: BmffBox, index: _Index) -> None:
    start = box.body + _VERSION + (4 if content[box.body] else 2)
    for entry in boxes_of(content, start, box.end):
        fields = Fields(content, entry.body, entry.end)
        version, flags = fields.take(1), fields.take(3)
        if entry.kind != b"infe" or version < 2:
            continue
        number = fields.take(4 if version > 2 else 2)
        fields.take(2)
        kind = fields.take(4).to_bytes(4)
        index.has_gain_map |= kind == b"tmap"
        if not flags & 1:
            index.kinds[number] = kind


def _read_references(content: Content, box: BmffBox, index: _Index) -> None:
    wide = 4 if content[box.body] else 2
    for entry in boxes_of(content, box.body + _VERSION, box.end):
        fields = Fields(content, entry.body, entry.end)
        source = fields.take(wide)
        targets = [fields.take(wide) for _ in range(fields.take(2))]
        if entry.kind == b"dimg" and index.kinds.get(source) != b"tmap":
            index.parts.update(targets)
        elif entry.kind == b"dimg":
            # A tone map is made of the picture, which comes first, and its gain map.
            index.parts.update(targets[1:])
        elif entry.kind in (b"thmb", b"auxl"):
            index.parts.add(source)


def _read_properties(content: Content, box: BmffBox, index: _Index) -> None:
    for container in boxes_of(content, box.body, box.end):
        if container.kind != b"ipco":
            continue
        for entry in boxes_of(content, container.body, container.end):
            if entry.kind == b"auxC":
                name = content[entry.body + _VERSION : entry.end].partition(b"\0")[0]
                index.auxiliaries.add(name.decode("latin-1"))
