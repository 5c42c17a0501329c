"""A detection model that is told what to find."""

from __future__ import annotations

from services.imaging.processing.boxes import PixelBox
from services.providers.capabilities.detecting import Line, People, Sighting, Text
from services.providers.ports import ModelCard, Pixels

CARD = ModelCard("finder", "cd" * 32, "Apache-2.0")


class FakeDetection:
    """Finds `faces`, `people` and `lines` in every picture; with `faces` None it has no network for either."""

    model = "detection"

    def __init__(
        self, faces: tuple[PixelBox, ...] | None = None, people: tuple[PixelBox, ...] = (), lines: tuple[Line, ...] = ()
    ) -> None:
        self.faces, self.people, self.lines = faces, people, lines
        self.seen: list[tuple[int, ...]] = []

    async def check(self) -> None: ...

    async def ask(self) -> None: ...

    async def find_people(self, pixels: Pixels, *, faces_alone: bool = False) -> People | None:
        self.seen.append(pixels.shape)
        if self.faces is None:
            return None
        faces, people = (tuple(Sighting(box, 0.9) for box in boxes) for boxes in (self.faces, self.people))
        return People(faces, () if faces_alone else people, CARD)

    async def read_text(self, pixels: Pixels) -> Text:
        self.seen.append(pixels.shape)
        return Text(self.lines, CARD)
