"""The whole cut: network and second opinion, their combination, full-resolution edges, and what is told about it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from .closer import window_round
from .combination import (
    LEAST_SIDE,
    Choice,
    Settler,
    border_alone,
    choose,
    fitted,
    network_alone,
    settle_drawing,
    settle_photograph,
)
from .errors import MattingError
from .exposure import lit
from .graphcut import sharpened, shrink
from .network import MatteNetwork
from .proportions import framed
from .refinement import enlarge, refine
from .request import MattingRequest
from .selection import Rivals, prefers_photograph
from .settings import Settings

Array = np.ndarray
WORKING_SIDE = 192
PHOTOGRAPH_SIDE = 320
"""Of what a network trained on photographs saw, whose answer is as fine."""
LIKELY = 0.5
"""From this confidence on a matte is more likely right than wrong."""
CLOSER_MARGIN = 0.2
"""By how much surer a closer look must be to be believed."""


@dataclass(frozen=True)
class Cut:
    """`matte`: uint8 [H, W]. `info`: what the README of the model promises."""

    matte: Array
    info: dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What the network `believed` says of a picture, and the picture itself, uint8 RGB [h, w, 3], at working size."""

    small: Array
    answer: Array
    believed: MatteNetwork


class Stopwatch:
    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.milliseconds[stage] = round(self.milliseconds.get(stage, 0.0) + (time.perf_counter() - start) * 1e3, 2)


class Matter:
    """Cuts subjects out of pictures."""

    def __init__(self, network: MatteNetwork, max_pixels: int, photographs: MatteNetwork | None = None) -> None:
        """`photographs`: the network for photographs, beside which `network` is believed on drawn pictures only."""
        self.network, self.max_pixels, self.photographs = network, max_pixels, photographs

    @classmethod
    def from_settings(cls, settings: Settings) -> Matter:
        cv2.setNumThreads(settings.threads)
        photographs = MatteNetwork.for_photographs(settings)
        proven = None if photographs is None else photographs.proven()
        return cls(MatteNetwork.load(settings).proven(), settings.max_pixels, proven)

    def cut(self, image: Array, request: MattingRequest) -> Cut:
        """uint8 RGB [H, W, 3] to a matte of the same size. Raises MattingError."""
        self.check(image)
        image = image if request.canary else lit(image)
        watch = Stopwatch()
        with watch.time("total"):
            choice, believed = self.in_proportion(image, request, watch)
            alpha = self.full_resolution(image, choice.matte, request.refine and not request.canary, watch)
            matte = np.ascontiguousarray(np.rint(alpha * 255).astype(np.uint8))
        about = {"models": [one.served for one in self.networks]} if request.canary else {}
        return Cut(matte, {**self.information(choice, believed, watch), **about})

    @property
    def networks(self) -> list[MatteNetwork]:
        return [one for one in (self.network, self.photographs) if one is not None]

    def information(self, choice: Choice, believed: MatteNetwork, watch: Stopwatch) -> dict[str, Any]:
        return {
            "confidence": round(choice.confidence, 4),
            "method": choice.method,
            "iou_between_methods": None if choice.agreed is None else round(choice.agreed, 4),
            "model": believed.description,
            "ms": watch.milliseconds,
        }

    def check(self, image: Array) -> None:
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise MattingError(
                "INVALID_IMAGE", f"IMAGE must be uint8 [H, W, 3] with pixels, not {image.dtype} {list(image.shape)}"
            )
        if image.shape[0] * image.shape[1] > self.max_pixels:
            raise MattingError("IMAGE_TOO_LARGE", f"{image.shape[1]}x{image.shape[0]} is over {self.max_pixels} pixels")

    def in_proportion(self, image: Array, request: MattingRequest, watch: Stopwatch) -> tuple[Choice, MatteNetwork]:
        """As `coarse`; what is as narrow as a ruler, which that cannot judge, is looked at with room around it, too."""
        plain = self.coarse(image, request, watch)
        frame = None if request.canary else framed(image)
        if frame is None:
            return plain
        roomy, believed = self.coarse(frame.image, request, watch)
        if roomy.confidence < LIKELY:
            return plain
        return replace(roomy, matte=frame.inner(roomy.matte)), believed

    def coarse(self, image: Array, request: MattingRequest, watch: Stopwatch) -> tuple[Choice, MatteNetwork]:
        """The matte at working size by the methods asked for, and the network that was believed."""
        small = shrink(image, WORKING_SIDE)
        if request.method == "border" and not request.canary:
            with watch.time("border"):
                return border_alone(small), self.network
        with watch.time("network"):
            answer, believed = self.answer(image, small, request)
        small = small if believed.draws else shrink(image, PHOTOGRAPH_SIDE)
        network = fitted(answer, small)
        if request.canary or not request.refine:
            return network_alone(small, network, None), believed
        if min(small.shape[:2]) < LEAST_SIDE:
            return network_alone(small, sharpened(network), None), believed
        return self.combined(image, Answer(small, answer, believed), request, watch)

    def combined(
        self, image: Array, whole: Answer, request: MattingRequest, watch: Stopwatch
    ) -> tuple[Choice, MatteNetwork]:
        """The answer settled; where it is not sure, what the network for photographs sees closely, if that is."""
        plain = self.settled(whole, request, watch)
        if plain[0].confidence >= LIKELY or self.photographs is None or request.model:
            return plain
        closer = self.closer(image, self.photographs, plain[0].matte, request, watch)
        return closer if closer and closer[0].confidence > plain[0].confidence + CLOSER_MARGIN else plain

    def closer(
        self, image: Array, network: MatteNetwork, subject: Array, request: MattingRequest, watch: Stopwatch
    ) -> tuple[Choice, MatteNetwork] | None:
        """From what `network` sees near `subject`; None where nothing is seen closer."""
        window = window_round(subject, image.shape)
        if window is None:
            return None
        part = window.of(image)
        with watch.time("closer"):
            near = network.matte(part)
        choice, believed = self.settled(Answer(shrink(part, PHOTOGRAPH_SIDE), near, network), request, watch)
        return replace(choice, matte=window.on_whole(choice.matte)), believed

    def settled(self, seen: Answer, request: MattingRequest, watch: Stopwatch) -> tuple[Choice, MatteNetwork]:
        with watch.time("combine"):
            auto = request.method == "auto"
            network, settler = fitted(seen.answer, seen.small), settler_for(seen.believed)
            return (choose if auto else network_alone)(seen.small, network, settler), seen.believed

    def answer(self, image: Array, small: Array, request: MattingRequest) -> tuple[Array, MatteNetwork]:
        """What the network asked for says, else the one that fits the picture, at its own resolution."""
        if request.model and not request.canary:
            asked = self.named(request.model)
            return asked.matte(image), asked
        drawn = self.network.matte(image)
        if self.photographs is None or request.canary or min(small.shape[:2]) < LEAST_SIDE:
            return drawn, self.network
        photograph = self.photographs.matte(image)
        if prefers_photograph(Rivals(small, fitted(drawn, small), fitted(photograph, small))):
            return photograph, self.photographs
        return drawn, self.network

    def named(self, name: str) -> MatteNetwork:
        """Raises MATTE_MODEL_MISSING."""
        here = {one.description["name"]: one for one in self.networks}
        if name not in here:
            raise MattingError(
                "MATTE_MODEL_MISSING", f"there is no matte network {name!r} here, only {', '.join(here)}"
            )
        return here[name]

    def full_resolution(self, image: Array, matte: Array, refined: bool, watch: Stopwatch) -> Array:
        if not refined or min(image.shape[:2]) < 8:
            return np.clip(enlarge(matte, *image.shape[:2]), 0, 1)
        with watch.time("refine"):
            return refine(image, matte)


def settler_for(network: MatteNetwork) -> Settler:
    return settle_drawing if network.draws else settle_photograph
