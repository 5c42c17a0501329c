"""Looks at contents in the decoder's child process."""

from __future__ import annotations

from pathlib import Path

from services.imaging.decoder import Decoder
from services.storage.ports import PixelSize


class DecoderProbe:
    """The PictureEye of every deployment."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder

    async def size_of(self, content: Path) -> PixelSize:
        with content.open("rb") as file:
            facts = await self._decoder.measure(file)
        return PixelSize(facts.width, facts.height)

    async def verify(self, content: Path) -> PixelSize:
        with content.open("rb") as file:
            facts = await self._decoder.verify(file)
        return PixelSize(facts.width, facts.height)
