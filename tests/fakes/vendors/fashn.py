"""FASHN as it documents itself.

Sources: docs.fashn.ai/api-overview/{api-fundamentals,error-handling}, /utility-endpoints/credits, /api-reference, and
the request types of its SDKs. Not documented there and chosen here: the status of an expired picture (404).
"""

from __future__ import annotations

import base64
import json
import re
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

from PIL import Image, ImageOps

from tests.fakes.vendors.films import tiny_film
from tests.fakes.vendors.pictures import Unreadable, encode, noise, open_data_url
from tests.fakes.vendors.script import Charge, Script
from tests.fakes.vendors.wire import Answer, Asked, json_answer, serving

_NAMESPACE = UUID("7c0ad3e2-26a5-4a5f-bd0c-6a1f3a1f8f51")
_RATIOS = ("21:9", "1:1", "4:3", "3:2", "2:3", "5:4", "4:5", "3:4", "16:9", "9:16")
_COMMON = {"seed": range(2**32), "output_format": ("png", "jpeg"), "return_base64": (True, False)}


@dataclass(frozen=True)
class _Model:
    """`picture` is the input whose picture comes back changed; `choices` are the values an input may have."""

    required: tuple[str, ...]
    pictures: tuple[str, ...]
    texts: tuple[str, ...]
    choices: Mapping[str, Any]
    picture: str = ""
    credits: float = 1
    film: bool = False


_RESOLUTION = {"resolution": ("1k", "2k", "4k")}
_MODE = {"generation_mode": ("fast", "balanced", "quality")}
_COUNT = {"num_images": range(1, 5)}
_RATIO = {"aspect_ratio": _RATIOS}
_FACE = {"face_reference_mode": ("match_base", "match_reference")}

# As the request types of the vendor's SDK have them (fashn 0.9).
MODELS = {
    "edit": _Model(
        ("image", "prompt"),
        ("image", "mask", "image_context"),
        ("prompt",),
        {**_COMMON, **_COUNT, **_RESOLUTION, **_MODE, **_RATIO},
        "image",
    ),
    "tryon-v1.6": _Model(
        ("model_image", "garment_image"),
        ("model_image", "garment_image"),
        (),
        {
            **_COMMON,
            "category": ("auto", "tops", "bottoms", "one-pieces"),
            "garment_photo_type": ("auto", "flat-lay", "model"),
            "mode": ("performance", "balanced", "quality"),
            "moderation_level": ("conservative", "permissive", "none"),
            "segmentation_free": (True, False),
            "num_samples": range(1, 5),
        },
        "model_image",
    ),
    "tryon-max": _Model(
        ("model_image", "product_image"),
        ("model_image", "product_image"),
        ("prompt",),
        {**_COMMON, **_COUNT, **_RESOLUTION, **_RATIO, "generation_mode": ("balanced", "quality")},
        "model_image",
        credits=2,
    ),
    "product-to-model": _Model(
        ("product_image",),
        ("product_image", "model_image", "image_prompt"),
        ("prompt",),
        {**_COMMON, **_RESOLUTION, **_MODE, **_RATIO},
        "product_image",
    ),
    "face-to-model": _Model(
        ("face_image",),
        ("face_image",),
        ("prompt",),
        {**_COMMON, **_COUNT, **_RESOLUTION, **_MODE, **_RATIO},
        "face_image",
    ),
    "model-create": _Model(
        ("prompt",),
        ("face_reference", "image_reference"),
        ("prompt",),
        {**_COMMON, **_COUNT, **_RESOLUTION, **_MODE, **_RATIO, **_FACE},
    ),
    "model-swap": _Model(
        ("model_image",),
        ("model_image", "face_reference"),
        ("prompt",),
        {**_COMMON, **_COUNT, **_RESOLUTION, **_MODE, **_RATIO, **_FACE},
        "model_image",
    ),
    "reframe": _Model(("image", "aspect_ratio"), ("image",), (), {**_COMMON, **_COUNT, **_MODE, **_RATIO}, "image"),
    "background-change": _Model(
        ("image", "prompt"), ("image",), ("prompt",), {**_COMMON, **_COUNT, **_RESOLUTION, **_MODE}, "image"
    ),
    "background-remove": _Model(("image",), ("image",), (), {"return_base64": (True, False)}, "image"),
    "image-to-video": _Model(
        ("image",),
        ("image", "end_image"),
        ("prompt", "negative_prompt"),
        {"seed": range(2**32), "duration": (5, 10), "resolution": ("480p", "720p", "1080p")},
        film=True,
    ),
    "packshot": _Model(
        ("product_image",),
        ("product_image", "image_context"),
        ("prompt",),
        {**_COMMON, **_COUNT, **_RESOLUTION, **_MODE, **_RATIO},
        "product_image",
    ),
}


@dataclass
class Prediction:
    """`states` still to be told, the last for ever. `error` is (name, message). Told the last, it has `ended`."""

    id: str
    model: str
    inputs: Mapping[str, Any]
    webhook: str | None
    states: deque[str]
    error: tuple[str, str] | None
    files: list[str] = field(default_factory=list)
    ended: bool = False


class Fashn:
    """`outcomes` of predictions to come: None completes, (name, message) fails. `path` is what leads up to it.

    A prediction that will complete is charged when it is accepted, for it runs whoever asks for it or not.
    """

    def __init__(self, key: str = "fashn-key", balance: float = 100) -> None:
        self.key, self.balance = key, balance
        self.script = Script()
        self.ledger: list[Charge] = []
        self.predictions: dict[str, Prediction] = {}
        self.outcomes: deque[tuple[str, str] | None] = deque()
        self.path: tuple[str, ...] = ("starting", "in_queue", "processing")
        self.concurrency = 6
        self.media: dict[str, bytes] = {}
        self.asked: list[Asked] = []
        self.url = ""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Fashn]:
        async with serving(self.answer) as self.url:
            yield self

    def expire_pictures(self) -> None:
        """72 hours after the end."""
        self.media.clear()

    def forget(self) -> None:
        """Its predictions are no longer tracked."""
        self.predictions.clear()

    async def answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        if asked.path.startswith("/cdn/"):
            return await self.script.play("media", lambda: self._picture(asked))
        if asked.headers.get("authorization") != f"Bearer {self.key}":
            return refusal(401, "UnauthorizedAccess", "Unauthorized: Invalid token")
        if asked.method == "POST" and asked.path == "/v1/run":
            return await self.script.play("run", lambda: self._run(asked))
        if asked.method == "GET" and asked.path.startswith("/v1/status/"):
            return await self.script.play("status", lambda: self._status(asked))
        if asked.method == "GET" and asked.path == "/v1/credits":
            return json_answer({"credits": {"total": self.balance, "subscription": 0, "on_demand": self.balance}})
        return refusal(404, "NotFound", "Resource not found")

    async def _run(self, asked: Asked) -> Answer:
        try:
            model, inputs = _checked(asked)
        except ValueError as error:
            return refusal(400, "BadRequest", str(error))
        cost = MODELS[model].credits * int(inputs.get("num_images", inputs.get("num_samples", 1)))
        if self.balance < cost:
            return refusal(429, "OutOfCredits", "You have run out of credits")
        if sum(not one.ended for one in self.predictions.values()) >= self.concurrency:
            return refusal(429, "ConcurrencyLimitExceeded", "Too many concurrent predictions")
        fault = self.outcomes.popleft() if self.outcomes else None
        made = self._predict(model, inputs, asked.query.get("webhook_url", [None])[0], fault)
        if made.error is None:
            self.balance -= cost
            self.ledger.append(Charge(made.id, cost))
        return json_answer({"id": made.id, "error": None})

    def _predict(
        self, model: str, inputs: Mapping[str, Any], webhook: str | None, error: tuple[str, str] | None
    ) -> Prediction:
        one = Prediction(
            f"{uuid5(_NAMESPACE, str(len(self.predictions)))}-u1", model, inputs, webhook, deque(self.path), error
        )
        self.predictions[one.id] = one
        try:
            pictures = {name: open_data_url(inputs[name]) for name in MODELS[model].pictures if name in inputs}
        except Unreadable:
            one.error = ("ImageLoadError", "Failed to load image. Make sure the image is valid")
        one.states.append("failed" if one.error else "completed")
        if one.error is None:
            self._make(one, pictures.get(MODELS[model].picture))
        return one

    def _make(self, one: Prediction, given: Image.Image | None) -> None:
        """What it makes: as many pictures as were asked for, or a film; addresses, or the pictures themselves."""
        if MODELS[one.model].film:
            one.files.append(self._keep(f"/cdn/{one.id}/output.mp4", tiny_film()))
            return
        kind = one.inputs.get("output_format", "png")
        content = encode(changed(given) if given is not None else noise(64, 96), kind.upper())
        for number in range(one.inputs.get("num_images", one.inputs.get("num_samples", 1))):
            if one.inputs.get("return_base64"):
                one.files.append(f"data:image/{kind};base64,{base64.b64encode(content).decode()}")
            else:
                one.files.append(self._keep(f"/cdn/{one.id}/output_{number}.{kind}", content))

    def _keep(self, path: str, content: bytes) -> str:
        self.media[path] = content
        return self.url + path

    async def _status(self, asked: Asked) -> Answer:
        one = self.predictions.get(asked.path.removeprefix("/v1/status/"))
        if one is None:
            return refusal(404, "NotFound", "Prediction not found")
        state = one.states.popleft() if len(one.states) > 1 else one.states[0]
        error = {"name": one.error[0], "message": one.error[1]} if state == "failed" and one.error else None
        output = one.files if state == "completed" else None
        told = {"id": one.id, "status": state, "output": output, "error": error}
        if state not in ("completed", "failed"):
            return json_answer(told)
        one.ended = True
        spent = sum(charge.credits for charge in self.ledger if charge.request == one.id)
        return json_answer(told, x_fashn_credits_used=f"{spent:g}")

    async def _picture(self, asked: Asked) -> Answer:
        content = self.media.get(asked.path)
        if content is None:
            return Answer(404, b"Not Found", {"content-type": "text/plain"})
        kind = {"png": "image/png", "mp4": "video/mp4"}.get(asked.path.rpartition(".")[2], "image/jpeg")
        return Answer(200, content, {"content-type": kind})


def refusal(status: int, error: str, message: str, **headers: str) -> Answer:
    """An API-level error: there is no prediction."""
    return json_answer({"error": error, "message": message}, status, **headers)


def changed(picture: Image.Image) -> Image.Image:
    """What every model here makes of a picture: its negative."""
    return ImageOps.invert(picture.convert("RGB"))


def _checked(asked: Asked) -> tuple[str, dict[str, Any]]:
    """Raises ValueError."""
    try:
        body = asked.json()
    except json.JSONDecodeError:
        raise ValueError("Invalid JSON") from None
    if not isinstance(body, dict) or set(body) - {"model_name", "inputs", "webhook_url"}:
        raise ValueError("Unrecognized key(s) in object")
    name, inputs = body.get("model_name"), body.get("inputs")
    if name not in MODELS or not isinstance(inputs, dict):
        raise ValueError("Invalid model_name or inputs")
    _check_inputs(MODELS[name], inputs)
    return name, inputs


def _check_inputs(model: _Model, inputs: Mapping[str, Any]) -> None:
    missing = [name for name in model.required if not inputs.get(name)]
    if missing:
        raise ValueError(f"{missing[0]} is required")
    for name, value in inputs.items():
        if name in model.pictures:
            if not re.match(r"https://|data:image/[a-z]+;base64,", str(value)):
                raise ValueError(f"{name} must be a URL or a base64 image with its prefix")
        elif name in model.choices:
            if value not in model.choices[name]:
                raise ValueError(f"Invalid {name}")
        elif name not in model.texts or not isinstance(value, str):
            raise ValueError(f"Unrecognized key: {name}")
