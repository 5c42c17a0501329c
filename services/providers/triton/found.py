"""What the `detection` model's answers must look like to be believed, as `answers` says, and what they mean."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, FiniteFloat, PositiveInt

from services.imaging.processing.boxes import PixelBox
from services.providers.capabilities.detecting import Line, People, Sighting, Text
from services.providers.triton.answers import CardEvent, ModelEvent, ModelsEvent

Share = Annotated[float, Field(ge=0, le=1)]


class SeeingEvent(ModelsEvent):
    can: tuple[str, ...]
    pid: PositiveInt


class BoxEvent(ModelEvent):
    box: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]
    score: Share

    def within(self, width: int, height: int, factor: float) -> Sighting | None:
        """What of it lies in a picture of that size, of which the model saw one smaller by `factor`."""
        left, top = (max(0, round(side / factor)) for side in self.box[:2])
        right, bottom = min(width, round(self.box[2] / factor)), min(height, round(self.box[3] / factor))
        if right <= left or bottom <= top:
            return None
        return Sighting(PixelBox(left, top, right - left, bottom - top), self.score)


class PeopleEvent(ModelEvent):
    faces: tuple[BoxEvent, ...]
    people: tuple[BoxEvent, ...] = ()
    models: tuple[CardEvent]

    def people_in(self, width: int, height: int, factor: float) -> People:
        def sorted_within(found: tuple[BoxEvent, ...]) -> tuple[Sighting, ...]:
            inside = (one.within(width, height, factor) for one in found)
            return tuple(sorted((one for one in inside if one), key=lambda one: (one.box.left, one.box.top)))

        return People(sorted_within(self.faces), sorted_within(self.people), self.models[0].card())


class LineEvent(ModelEvent):
    corners: Annotated[tuple[tuple[FiniteFloat, FiniteFloat], ...], Field(min_length=4, max_length=4)]
    text: str
    confidence: Share


class TextEvent(ModelEvent):
    text: tuple[LineEvent, ...]
    models: tuple[CardEvent]

    def text_in(self, factor: float) -> Text:
        lines = (
            Line(tuple((x / factor, y / factor) for x, y in one.corners), one.text, one.confidence) for one in self.text
        )
        return Text(tuple(lines), self.models[0].card())
