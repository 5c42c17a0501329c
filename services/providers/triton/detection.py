"""The `detection` model: faces, people and text. The protocol is in deploy/triton/models/detection/README.md."""

from __future__ import annotations

import asyncio
from typing import Any

import cv2
import numpy as np

from services.common.errors import InvalidRequest
from services.providers.capabilities.detecting import People, Text
from services.providers.ports import Pixels
from services.providers.triton.answers import EventT, event_of
from services.providers.triton.connection import TritonConnection
from services.providers.triton.failures import BROKEN, ModelLost
from services.providers.triton.found import PeopleEvent, SeeingEvent, TextEvent
from services.providers.triton.optional import OptionalModel
from services.providers.triton.supervisor import CanaryReply, WatchedRequest

_CANARY_SECONDS = 20.0
# The model sees no more of a picture than this; the wire need not carry it.
_LONGEST = 1600
_LONGEST_TEXT = 3072
FACES, PEOPLE, TEXT = "faces", "people", "text"


class TritonDetection(OptionalModel):
    """Finds through the supervisor. `seconds` bounds one picture."""

    def __init__(self, connection: TritonConnection, *, model: str = "detection", seconds: float = 120.0) -> None:
        super().__init__(model, connection, self._canary, silence=seconds)
        self._seconds = seconds
        self._known: tuple[str, ...] | None = None

    async def find_people(self, pixels: Pixels, *, faces_alone: bool = False) -> People | None:
        """As `Detecting` says."""
        if not await self._can(PEOPLE):
            return None
        shown, factor = await asyncio.to_thread(_shrunk, pixels, _LONGEST)
        said = await self._find({"find": [FACES] if faces_alone else [FACES, PEOPLE]}, shown, PeopleEvent)
        return said.people_in(pixels.shape[1], pixels.shape[0], factor)

    async def read_text(self, pixels: Pixels) -> Text:
        """As `TextReading` says."""
        if not await self._can(TEXT):
            raise InvalidRequest(
                "this deployment has no network that reads text; `make setup` fetches it", reason="CAPABILITY_MISSING"
            )
        shown, factor = await asyncio.to_thread(_shrunk, pixels, _LONGEST_TEXT)
        return (await self._find({"find": [TEXT]}, shown, TextEvent)).text_in(factor)

    async def _can(self, kind: str) -> bool:
        """Whether there is a network for it. Raises Unavailable."""
        return await self.served() and kind in await self.supervisor.carry(self._kinds)

    async def _kinds(self, _: WatchedRequest) -> tuple[str, ...]:
        """Told by every canary."""
        if self._known is None:
            await self._canary()
        return self._known or ()

    async def _find(self, request: dict[str, Any], pixels: Pixels, kind: type[EventT]) -> EventT:
        async def once(_: WatchedRequest) -> EventT:
            answer = await self._connection.infer(self.model, request, {"IMAGE": pixels}, timeout=self._seconds)
            return event_of(answer.event, kind)

        return await self.supervisor.carry(once)

    async def _canary(self) -> CanaryReply:
        """What makes no sense is taken for a dead model: it is loaded anew."""
        try:
            request = {"canary": True}
            answer = await self._connection.infer(self.model, request, {}, timeout=_CANARY_SECONDS)
            said = event_of(answer.event, SeeingEvent)
        except BROKEN as error:
            raise ModelLost(error.message, told=True) from error
        self._known = said.can
        return CanaryReply(process=said.pid, models=said.served())


def _shrunk(pixels: Pixels, longest: int) -> tuple[Pixels, float]:
    """RGB `[H, W, 3]` with sides of at most `longest`, and how much smaller it is."""
    height, width, _ = pixels.shape
    factor = min(1.0, longest / max(width, height))
    if factor == 1.0:
        return pixels, factor
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8), factor
