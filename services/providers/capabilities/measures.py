"""How like two pictures are, and what a caller may look at when they are not."""

from __future__ import annotations

from dataclasses import dataclass

from services.providers.ports import Pixels

SSIM, LPIPS, DISTS = "ssim", "lpips", "dists"
DETAIL, REFERENCE, COLOUR = "detail", "reference", "colour"
_SIMILARITIES = frozenset({SSIM, DETAIL, REFERENCE})


@dataclass(frozen=True, slots=True)
class SimilarityScore:
    """`value` is None where it was not measured; then `note` says why.

    A similarity is to be at least `threshold`, a distance at most that. 0 asks for nothing.
    """

    name: str
    value: float | None
    threshold: float = 0.0
    note: str = ""

    @property
    def passed(self) -> bool | None:
        """None where nothing was compared with a threshold."""
        if self.value is None or not self.threshold:
            return None
        return self.value >= self.threshold if self.is_similarity else self.value <= self.threshold

    @property
    def is_similarity(self) -> bool:
        return self.name in _SIMILARITIES


@dataclass(frozen=True, slots=True)
class DebugPicture:
    """A step in between, kept on request; `[H, W, 3]`, `[H, W, 4]` or `[H, W]`."""

    name: str
    pixels: Pixels
