"""How far pieces are that are drawn at the same time, and how the picture looks meanwhile."""

from __future__ import annotations

from services.imaging.processing.boxes import PixelBox
from services.imaging.processing.detail import resized
from services.providers.ports import DiffusionStep, OnStep, Pixels

_LONGEST_SIDE = 256


class PreviewCanvas:
    """A small copy of a picture that finished pieces are laid into."""

    def __init__(self, picture: Pixels) -> None:
        height, width, _ = picture.shape
        self._factor = min(1.0, _LONGEST_SIDE / max(width, height))
        size = max(round(width * self._factor), 1), max(round(height * self._factor), 1)
        self.pixels = resized(picture, *size).copy()

    def lay(self, box: PixelBox, piece: Pixels) -> None:
        """`piece` is `box` of the picture; what is smaller than a pixel here is left out."""
        left, top = round(box.left * self._factor), round(box.top * self._factor)
        right, bottom = round(box.right * self._factor), round(box.bottom * self._factor)
        if right > left and bottom > top:
            self.pixels[top:bottom, left:right] = resized(piece, right - left, bottom - top)


class PieceProgress:
    """Adds the pieces' steps up, and never goes back: further attempts at a piece move nothing until it is done."""

    def __init__(
        self, on_step: OnStep, pieces: int, steps_each: int, preview: PreviewCanvas, *, before: int = 0
    ) -> None:
        """`before` steps of something else are done already."""
        self.preview = preview
        self._on_step = on_step
        self._each = steps_each
        self._before = before
        self._done = [0] * pieces

    def of(self, piece: int) -> OnStep:
        """To be called with the steps of that piece."""

        async def moved(step: DiffusionStep) -> None:
            # The last one is the piece's end: the attempt may yet be refused.
            await self._move(piece, min(self._each * step.step // max(step.of, 1), self._each - 1))

        return moved

    async def end(self, piece: int) -> None:
        await self._move(piece, self._each)

    async def _move(self, piece: int, done: int) -> None:
        if done > self._done[piece]:
            self._done[piece] = done
            of = self._before + self._each * len(self._done)
            await self._on_step(DiffusionStep(self._before + sum(self._done), of, self.preview.pixels))
