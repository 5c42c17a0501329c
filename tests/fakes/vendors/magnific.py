"""The Magnific upscalers as they document themselves.

Sources: docs.magnific.com and the older docs.freepik.com, api-reference of image-upscaler, -precision, -precision-v2.
Not documented there and chosen here: texts of errors, the status of an expired picture (403, as signed links answer),
the factor of Precision V1 (2), and that a task is charged when accepted, whatever becomes of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from PIL import Image

from tests.fakes.vendors.pictures import Unreadable, encode, open_base64
from tests.fakes.vendors.script import Charge, Script
from tests.fakes.vendors.wire import Answer, Asked, json_answer, serving

_NAMESPACE = UUID("0b9f6d5e-5f39-4d0e-8b0a-52c1f2f0a7a4")
CREATIVE, PRECISION_V1 = "/v1/ai/image-upscaler", "/v1/ai/image-upscaler-precision"
PRECISION_V2 = "/v1/ai/image-upscaler-precision-v2"
_MAX_CREATIVE_PIXELS = 25_300_000
_MAX_PRECISION_SIDE = 10_060
_MIN_SIDE, _MAX_RATIO = 160, 3
_AROUND_ZERO, _PERCENT = range(-10, 11), range(101)
_COMMON = {"filter_nsfw": (True, False)}
FIELDS: dict[str, Mapping[str, Any]] = {
    CREATIVE: {
        **_COMMON,
        "scale_factor": ("2x", "4x", "8x", "16x"),
        "optimized_for": (
            "standard",
            "soft_portraits",
            "hard_portraits",
            "art_n_illustration",
            "videogame_assets",
            "nature_n_landscapes",
            "films_n_photography",
            "3d_renders",
            "science_fiction_n_horror",
        ),
        "creativity": _AROUND_ZERO,
        "hdr": _AROUND_ZERO,
        "resemblance": _AROUND_ZERO,
        "fractality": _AROUND_ZERO,
        "engine": ("automatic", "magnific_illusio", "magnific_sharpy", "magnific_sparkle"),
    },
    PRECISION_V1: {**_COMMON, "sharpen": _PERCENT, "smart_grain": _PERCENT, "ultra_detail": _PERCENT},
    PRECISION_V2: {
        **_COMMON,
        "scale_factor": range(2, 17),
        "flavor": ("sublime", "photo", "photo_denoiser"),
        "sharpen": _PERCENT,
        "smart_grain": _PERCENT,
        "ultra_detail": _PERCENT,
    },
}
_TEXTS = {CREATIVE: ("prompt", "webhook_url"), PRECISION_V1: ("webhook_url",), PRECISION_V2: ("webhook_url",)}


@dataclass
class Task:
    """`states` still to be told, the last for ever."""

    id: str
    endpoint: str
    body: Mapping[str, Any]
    states: deque[str]
    file: str


class Magnific:
    """`outcomes` of tasks to come: True completes. `wrapped` False gives the older answers, without `data`."""

    def __init__(self, key: str = "magnific-key", header: str = "x-magnific-api-key") -> None:
        self.key, self.header = key, header
        self.script = Script()
        self.ledger: list[Charge] = []
        self.tasks: dict[str, Task] = {}
        self.outcomes: deque[bool] = deque()
        self.path: tuple[str, ...] = ("CREATED", "IN_PROGRESS")
        self.wrapped = True
        self.media: dict[str, bytes] = {}
        self.asked: list[Asked] = []
        self.url = ""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Magnific]:
        async with serving(self.answer) as self.url:
            yield self

    def expire_pictures(self) -> None:
        self.media.clear()

    async def answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        if asked.path.startswith("/statics/"):
            return await self.script.play("media", lambda: self._picture(asked))
        if asked.headers.get(self.header) != self.key:
            return refusal(401, "Invalid API key")
        if asked.method == "POST" and asked.path in FIELDS:
            return await self.script.play("submit", lambda: self._submit(asked))
        endpoint, _, task_id = asked.path.rpartition("/")
        if asked.method == "GET" and endpoint in FIELDS:
            return await self.script.play("status", lambda: self._status(endpoint, task_id))
        return refusal(404, "Not found")

    async def _submit(self, asked: Asked) -> Answer:
        try:
            body, picture = _checked(asked)
        except ValueError as error:
            return refusal(400, str(error))
        task_id = str(uuid5(_NAMESPACE, str(len(self.tasks))))
        completes = self.outcomes.popleft() if self.outcomes else True
        one = Task(
            task_id,
            asked.path,
            body,
            deque((*self.path, "COMPLETED" if completes else "FAILED")),
            f"/statics/{task_id}.png",
        )
        self.tasks[task_id] = one
        self.ledger.append(Charge(task_id, 1))
        if completes:
            self.media[one.file] = encode(enlarged(picture, factor_of(asked.path, body)), "PNG")
        return json_answer(self._told(one, one.states.popleft() if len(one.states) > 1 else one.states[0]))

    async def _status(self, endpoint: str, task_id: str) -> Answer:
        one = self.tasks.get(task_id)
        if one is None or one.endpoint != endpoint:
            return refusal(404, "Task not found")
        return json_answer(self._told(one, one.states.popleft() if len(one.states) > 1 else one.states[0]))

    def _told(self, one: Task, state: str) -> dict[str, Any]:
        generated = [self.url + one.file] if state == "COMPLETED" else []
        if not self.wrapped:
            return {"task_id": one.id, "task_status": state, "generated": generated}
        return {"data": {"task_id": one.id, "status": state, "generated": generated}}

    async def _picture(self, asked: Asked) -> Answer:
        content = self.media.get(asked.path)
        if content is None:
            return Answer(403, b"<Error><Code>AccessDenied</Code></Error>", {"content-type": "application/xml"})
        return Answer(200, content, {"content-type": "image/png"})


def refusal(status: int, message: str, **headers: str) -> Answer:
    return json_answer({"message": message}, status, **headers)


def factor_of(endpoint: str, body: Mapping[str, Any]) -> int:
    return int(str(body.get("scale_factor", 2)).removesuffix("x"))


def enlarged(picture: Image.Image, factor: int) -> Image.Image:
    return picture.convert("RGB").resize((picture.width * factor, picture.height * factor), Image.Resampling.BICUBIC)


def _checked(asked: Asked) -> tuple[dict[str, Any], Image.Image]:
    """Raises ValueError."""
    body = asked.json()
    if not isinstance(body, dict) or not isinstance(body.get("image"), str):
        raise ValueError("image: field required")
    fields = FIELDS[asked.path]
    for name, value in body.items():
        if name in fields:
            if value not in fields[name] or (isinstance(value, bool) and name != "filter_nsfw"):
                raise ValueError(f"{name}: invalid value")
        elif name != "image" and (name not in _TEXTS[asked.path] or not isinstance(value, str)):
            raise ValueError(f"{name}: unexpected field")
    try:
        picture = open_base64(body["image"])
    except Unreadable:
        raise ValueError("image: not a URL and not a base64 image") from None
    _check_size(asked.path, picture, factor_of(asked.path, body))
    return body, picture


def _check_size(endpoint: str, picture: Image.Image, factor: int) -> None:
    width, height = picture.size
    if endpoint == CREATIVE and width * height * factor**2 > _MAX_CREATIVE_PIXELS:
        raise ValueError("The output image would exceed the maximum of 25.3 million pixels")
    if endpoint == PRECISION_V2 and max(width, height) * factor > _MAX_PRECISION_SIDE:
        raise ValueError("The output image would exceed 10060x10060")
    if endpoint == PRECISION_V2 and (
        min(width, height) < _MIN_SIDE or max(width, height) > _MAX_RATIO * min(width, height)
    ):
        raise ValueError("The image is too small, or longer than 3:1")
