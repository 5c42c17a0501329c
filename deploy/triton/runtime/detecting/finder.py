"""All that the deployment can find, by the networks that its set-up could get."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from artefacts import registry
from failures import InvalidArgument

from .faces import FaceFinder
from .geometry import Pixels
from .people import PersonFinder
from .request import FACES, PEOPLE, TEXT, Request, check
from .settings import Settings
from .ssd import Found
from .text import HEIGHT, Line, TextReader

FOR_PEOPLE, FOR_TEXT = "mediapipe-people", "pp-ocrv6"
LONGEST = 1600
"""Side of the picture that faces and people are looked for in: a larger one is shrunk."""
PROBE = np.zeros((HEIGHT, HEIGHT, 3), np.uint8)

Card = Mapping[str, str]


class Finder:
    """A kind of which there is no network is None, and its card missing."""

    def __init__(
        self,
        faces: FaceFinder | None,
        people: PersonFinder | None,
        text: TextReader | None,
        cards: Mapping[str, Card],
        max_pixels: int,
    ) -> None:
        self._faces, self._people, self._text = faces, people, text
        self._cards, self._max_pixels = cards, max_pixels

    @classmethod
    def load(cls, settings: Settings) -> Finder:
        """Raises ArtefactRefused when a file is not the registry's, ModelFailed when one cannot be read."""
        cv2.setNumThreads(settings.threads)
        known = registry()
        there = {name: known[name] for name in (FOR_PEOPLE, FOR_TEXT) if known[name].present(settings.artefacts)}
        files = {name: artefact.verified(settings.artefacts) for name, artefact in there.items()}
        cards = {
            name: {"name": name, "sha256": artefact.sha256, "licence": artefact.licence}
            for name, artefact in there.items()
        }
        for_people, for_text = files.get(FOR_PEOPLE), files.get(FOR_TEXT)
        return cls(
            FaceFinder.load(for_people, settings.threads) if for_people else None,
            PersonFinder.load(for_people, settings.threads) if for_people else None,
            TextReader.load(for_text, settings.threads) if for_text else None,
            cards,
            settings.max_pixels,
        )

    @property
    def can(self) -> list[str]:
        networks = {FACES: self._faces, PEOPLE: self._people, TEXT: self._text}
        return [kind for kind, network in networks.items() if network is not None]

    def answer(self, request: Request, image: Pixels | None) -> dict[str, Any]:
        """What the model's README promises as INFO. Raises InvalidArgument or ModelFailed."""
        began = time.perf_counter()
        if request.canary:
            self._probe()
            about = {"can": self.can, "models": [registry()[name].served() for name in self._cards]}
            return {"event": "canary", **about, "pid": os.getpid(), "ms": _ms(began)}
        image = check(image, self._max_pixels)
        if missing := [kind for kind in request.find if kind not in self.can]:
            raise InvalidArgument(f"this deployment has no network that finds {', '.join(missing)}")
        return {"event": "found", **self._found(image, request.find), "ms": _ms(began)}

    def _probe(self) -> None:
        """Has networks compute, on hardly any pixels: this is asked every few seconds."""
        if self._faces:
            self._faces.find(PROBE)
        if self._text:
            self._text.read_strips([PROBE])

    def _found(self, image: Pixels, kinds: Sequence[str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self._faces and self._people and {FACES, PEOPLE} & set(kinds):
            found |= _of_kinds(kinds, self._find_people(image, self._faces, self._people, PEOPLE in kinds))
        if self._text and TEXT in kinds:
            found[TEXT] = [_line(line) for line in self._text.read(image)]
        used = {FOR_TEXT if kind == TEXT else FOR_PEOPLE for kind in kinds}
        return {**found, "models": [self._cards[name] for name in sorted(used)]}

    def _find_people(
        self, image: Pixels, faces: FaceFinder, people: PersonFinder, too: bool
    ) -> dict[str, list[dict[str, Any]]]:
        """People with `too` only: their faces are looked for either way."""
        factor = min(1.0, LONGEST / max(image.shape[:2]))
        if factor < 1:
            size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        found = faces.find(image)
        told = {FACES: [_box(one, factor) for one in found]}
        return told | {PEOPLE: [_box(one, factor) for one in people.find(image, found)]} if too else told


def _of_kinds(kinds: Sequence[str], found: dict[str, Any]) -> dict[str, Any]:
    return {kind: value for kind, value in found.items() if kind in kinds}


def _box(found: Found, factor: float) -> dict[str, Any]:
    """In pixels of the picture that came in, of which it may reach out."""
    return {"box": _rounded(found.box / factor), "score": round(found.score, 4)}


def _line(line: Line) -> dict[str, Any]:
    return {"corners": _rounded(line.corners), "text": line.text, "confidence": round(line.confidence, 4)}


def _rounded(values: np.ndarray) -> Any:
    return np.round(values.astype(np.float64), 1).tolist()


def _ms(since: float) -> float:
    return round((time.perf_counter() - since) * 1e3, 1)
