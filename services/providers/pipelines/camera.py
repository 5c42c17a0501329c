"""A slow movement of the camera over a still picture."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import cv2
import numpy as np

from services.catalog.prompts import plain
from services.providers.ports import ModelFeedback, ModelWarning, Pixels

# What a model says of words, in its own vocabulary of reasons.
PROMPT_WORDS_UNKNOWN, PROMPT_SUBJECT_UNKNOWN = "PROMPT_WORDS_UNKNOWN", "PROMPT_SUBJECT_UNKNOWN"
_ZOOM = 0.08
_PAN_ZOOM = 0.16
_PANS = {"left": (-1.0, 0.0), "right": (1.0, 0.0), "up": (0.0, -1.0), "down": (0.0, 1.0)}
_STATIC = re.compile(r"\b(static|still|fixed|locked)\b[\w\s-]{0,12}\b(camera|shot)\b")
_PAN = re.compile(r"\b(?:pan|panning|tilt|tilting|move|moving)\b[\w\s-]{0,16}?\b(left|right|up|down)\b")
_ZOOM_OUT = re.compile(r"\bzoom(?:s|ing)?[\s-]+out\b")
_ZOOM_IN = re.compile(r"\bzoom(?:s|ing)?(?:[\s-]+in)?\b")
_MOVES = (_STATIC, _PAN, _ZOOM_OUT, _ZOOM_IN)
_WORD = re.compile(r"[^\W_]+(?:[-'][^\W_]+)*")
# What of a move's text says it; other words may lie between.
_MOVE_WORDS = re.compile(
    r"\b(?:static|still|fixed|locked|camera|shot|pan|panning|tilt|tilting|move|moving|left|right|up|down"
    r"|zoom(?:s|ing)?(?:[\s-]+(?:in|out))?)\b"
)
# These, wherever they stand beside a move.
_CAMERA_WORDS = re.compile(r"\b(?:camera|shot|slow(?:ly)?|gent(?:le|ly)|smooth(?:ly)?)\b")
_JOINING = frozenset(
    ["a", "an", "and", "at", "by", "for", "from", "in", "is", "it", "of", "on", "the", "then", "to", "with"]
)


@dataclass(frozen=True, slots=True)
class Movement:
    """From a share of the whole time (0 to 1) to a view: `start` and `end` are scales, `pan` a direction."""

    start: float = 1.0
    end: float = 1.0 + _ZOOM
    pan: tuple[float, float] = (0.0, 0.0)

    def weakened(self, share: float) -> Movement:
        """The same, of something so much farther away."""
        return replace(self, start=1 + (self.start - 1) * share, end=1 + (self.end - 1) * share)

    def view(self, pixels: Pixels, share: float) -> Pixels:
        """What is seen of `[H, W, 3]` or `[H, W]`, at its own size; never beyond its edges.

        At scale 1 it is the picture itself.
        """
        eased = share * share * (3.0 - 2.0 * share)
        scale = self.start + (self.end - self.start) * eased
        if scale == 1.0:
            return pixels
        height, width = pixels.shape[:2]
        # How far the view's middle may go from the picture's.
        across, down = (0.5 * size * (1.0 - 1.0 / scale) for size in (width, height))
        middle = (width - 1) / 2 + self.pan[0] * across * eased, (height - 1) / 2 + self.pan[1] * down * eased
        back = np.array(
            [
                [1 / scale, 0, middle[0] - (width - 1) / 2 / scale],
                [0, 1 / scale, middle[1] - (height - 1) / 2 / scale],
            ],
            dtype=np.float64,
        )
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        moved = cv2.warpAffine(pixels, back, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return moved.astype(np.uint8, copy=False)


def movement_of(prompt: str) -> Movement:
    """What the prompt says of the camera: "static camera", "zoom out", "pan left"; without a word, a slow zoom in."""
    words = plain(prompt)
    if _STATIC.search(words):
        return Movement(end=1.0)
    if found := _PAN.search(words):
        return Movement(end=1.0 + _PAN_ZOOM, pan=_PANS[found[1]])
    if _ZOOM_OUT.search(words):
        return Movement(start=1.0 + _ZOOM, end=1.0)
    return Movement()


def heard_by_camera(heard: ModelFeedback, prompt: str) -> ModelFeedback:
    """What a model says of a prompt, without what the camera understands of it.

    A prompt that names a move and nothing else lacks no subject: what the film shows is the picture given.
    """
    words = plain(prompt)
    if not any(move.search(words) for move in _MOVES):
        return heard
    for move in _MOVES:
        words = move.sub(lambda found: _MOVE_WORDS.sub(" ", found[0]), words)
    left = frozenset(_WORD.findall(_CAMERA_WORDS.sub(" ", words)))
    doubts = (_beside_moves(doubt, left) for doubt in heard.model_warnings)
    return replace(heard, model_warnings=tuple(doubt for doubt in doubts if doubt is not None))


def _beside_moves(doubt: ModelWarning, left: frozenset[str]) -> ModelWarning | None:
    """As far as it is about the words `left`; None where it is not."""
    if doubt.reason == PROMPT_SUBJECT_UNKNOWN:
        return doubt if left - _JOINING else None
    if doubt.reason != PROMPT_WORDS_UNKNOWN:
        return doubt
    unknown = tuple(word for word in doubt.words if word in left)
    return replace(doubt, words=unknown) if unknown else None
