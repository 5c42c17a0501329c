"""Gemini's image models on both of Google's surfaces, as they document themselves.

Sources: ai.google.dev/api (generateContent), ai.google.dev/gemini-api/docs (image-generation, api-errors,
troubleshooting), docs.cloud.google.com/vertex-ai model reference (inference, api-errors), and the types of Google's own
SDK. Bodies of 429 and of a wrong key are those reported by integrators. Chosen here: a picture made is charged, a
refusal is not.
"""

from __future__ import annotations

import base64
import json
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from PIL import Image, ImageOps

from tests.fakes.vendors.chat import camel
from tests.fakes.vendors.pictures import Unreadable, encode, noise, open_base64, plain_base64
from tests.fakes.vendors.script import Charge, Script
from tests.fakes.vendors.wire import Answer, Asked, json_answer, serving

_GEMINI = re.compile(r"/v1(?:beta|alpha)?/models/([^/:]+):generateContent")
_VERTEX = re.compile(
    r"/v1(?:beta1)?/(?:projects/([^/]+)/locations/([^/]+)/)?publishers/google/models/([^/:]+):generateContent"
)
_SIZES = {
    "1:1": (1024, 1024),
    "2:3": (848, 1264),
    "3:2": (1264, 848),
    "3:4": (896, 1200),
    "4:3": (1200, 896),
    "4:5": (928, 1152),
    "5:4": (1152, 928),
    "9:16": (768, 1376),
    "16:9": (1376, 768),
    "21:9": (1584, 672),
}
_TIMES = {"1K": 1, "2K": 2, "4K": 4}
_TYPES = ("image/png", "image/jpeg", "image/webp", "image/heic", "image/heif")
_MAX_INLINE_BYTES = 7 * 1024 * 1024
_MAX_IMAGES = 14
_CONFIG = {
    "responseModalities",
    "imageConfig",
    "candidateCount",
    "seed",
    "temperature",
    "topP",
    "topK",
    "maxOutputTokens",
}
_TOP = {"contents", "systemInstruction", "generationConfig", "safetySettings", "labels"}

# What is made of the pictures and the words given.
Painter: TypeAlias = Callable[[list[Image.Image], str, tuple[int, int]], Image.Image]


def faithful(given: list[Image.Image], words: str, size: tuple[int, int]) -> Image.Image:
    """The first picture given, larger; a plain one when there is none."""
    if not given:
        return Image.new("RGB", size, (len(words) % 256, 90, 160))
    return ImageOps.fit(given[0].convert("RGB"), size, Image.Resampling.BICUBIC)


def unlike(given: list[Image.Image], words: str, size: tuple[int, int]) -> Image.Image:
    """Nothing of what was given."""
    return noise(*size)


class Gemini:
    """`replies` are whole bodies to come instead of pictures; `painters` to come, each for one picture."""

    def __init__(self, key: str = "gemini-key", project: str = "atelier") -> None:
        self.key, self.project = key, project
        self.tokens = {"token-1"}
        self.script = Script()
        self.ledger: list[Charge] = []
        self.models = {"gemini-3-pro-image", "gemini-nano-banana-2.1", "gemini-2.5-flash-image"}
        self.replies: deque[dict[str, Any]] = deque()
        self.painters: deque[Painter] = deque()
        self.mime_type = "image/png"
        self.asked: list[Asked] = []
        self.url = ""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Gemini]:
        async with serving(self.answer) as self.url:
            yield self

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """What generateContent was asked for."""
        return [asked.json() for asked in self.asked if asked.path.endswith(":generateContent")]

    def renew_token(self) -> str:
        """Only the new one is good."""
        self.tokens = {f"token-{int(max(self.tokens).removeprefix('token-')) + 1}"}
        return max(self.tokens)

    async def answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        if asked.path.endswith("/service-accounts/default/token"):
            return await self.script.play("token", lambda: self._token(asked))
        if asked.method != "POST":
            return refusal(404, "NOT_FOUND", "Not found")
        if match := _GEMINI.fullmatch(asked.path):
            vertex, model, denied = False, match[1], self._denied_key(asked)
        elif match := _VERTEX.fullmatch(asked.path):
            vertex, model, denied = True, match[3], self._denied_on_vertex(asked, match[1])
        else:
            return refusal(404, "NOT_FOUND", "Not found")
        if denied:
            return denied
        return await self.script.play("generate", lambda: self._generate(asked, model, vertex))

    def _denied_key(self, asked: Asked) -> Answer | None:
        if "x-goog-api-key" not in asked.headers:
            return refusal(403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers")
        if asked.headers["x-goog-api-key"] == self.key:
            return None
        wrong = {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "API_KEY_INVALID",
            "domain": "googleapis.com",
            "metadata": {"service": "generativelanguage.googleapis.com"},
        }
        return refusal(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", wrong)

    def _denied_on_vertex(self, asked: Asked, project: str | None) -> Answer | None:
        if project is None:
            return self._denied_key(asked)
        if asked.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return refusal(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        if project != self.project:
            return refusal(403, "PERMISSION_DENIED", f"Permission denied on resource project {project}.")
        return None

    async def _token(self, asked: Asked) -> Answer:
        """The metadata server of a machine in Google's cloud."""
        if asked.headers.get("metadata-flavor") != "Google":
            return Answer(403, b"Missing required header: Metadata-Flavor")
        return json_answer({"access_token": max(self.tokens), "expires_in": 3599, "token_type": "Bearer"})

    async def _generate(self, asked: Asked, model: str, vertex: bool) -> Answer:
        if model not in self.models:
            where = f"models/{model} is not found for API version v1beta, or is not supported for generateContent."
            return refusal(404, "NOT_FOUND", where)
        try:
            words, pictures, size = _checked(asked, vertex)
        except ValueError as error:
            return refusal(400, "INVALID_ARGUMENT", str(error))
        if self.replies:
            return json_answer({**self.replies.popleft(), **_about(model)})
        painter = self.painters.popleft() if self.painters else faithful
        self.ledger.append(Charge(f"response-{len(self.ledger)}", 1))
        kind = "PNG" if self.mime_type == "image/png" else "JPEG"
        content = encode(painter(pictures, words, size), kind)
        part = {"inlineData": {"mimeType": self.mime_type, "data": base64.b64encode(content).decode()}}
        return json_answer({**answered({"text": "Here is the picture."}, part), **_about(model)})


def answered(*parts: Mapping[str, Any], finish: str = "STOP") -> dict[str, Any]:
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, "finishReason": finish, "index": 0}]}


def stopped(finish: str, message: str = "") -> dict[str, Any]:
    """Candidates without content: the output was blocked."""
    candidate: dict[str, Any] = {"finishReason": finish, "index": 0}
    return {"candidates": [candidate | ({"finishMessage": message} if message else {})]}


def blocked(reason: str) -> dict[str, Any]:
    """No candidates: the prompt was blocked."""
    return {"promptFeedback": {"blockReason": reason, "safetyRatings": []}}


def refusal(status: int, word: str, message: str, *details: Mapping[str, Any], wrapped: bool = False) -> Answer:
    """`wrapped` puts it into an array of one, as some gateways do."""
    error: dict[str, Any] = {"code": status, "message": message, "status": word}
    body: Any = {"error": error | ({"details": list(details)} if details else {})}
    return json_answer([body] if wrapped else body, status)


def out_of_quota(window: str, retry_delay: str | None) -> Answer:
    """`window` is "PerMinute" or "PerDay"."""
    details: list[Mapping[str, Any]] = [
        {
            "@type": "type.googleapis.com/google.rpc.QuotaFailure",
            "violations": [
                {
                    "quotaMetric": "generativelanguage.googleapis.com/generate_content_requests",
                    "quotaId": f"GenerateRequests{window}PerProjectPerModel",
                    "quotaDimensions": {"location": "global", "model": "gemini-3-pro-image"},
                    "quotaValue": "10",
                }
            ],
        }
    ]
    if retry_delay is not None:
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": retry_delay})
    return refusal(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota.", *details)


def _about(model: str) -> dict[str, Any]:
    usage = {"promptTokenCount": 300, "candidatesTokenCount": 1290, "totalTokenCount": 1590}
    return {"usageMetadata": usage, "modelVersion": model, "responseId": "resp-1"}


def _checked(asked: Asked, vertex: bool) -> tuple[str, list[Image.Image], tuple[int, int]]:
    """Raises ValueError."""
    try:
        body = asked.json()
    except json.JSONDecodeError:
        raise ValueError("Invalid JSON payload received.") from None
    unknown = set(body) - _TOP
    if unknown:
        raise ValueError(f'Invalid JSON payload received. Unknown name "{unknown.pop()}": Cannot find field.')
    words, pictures = _checked_contents(body.get("contents"), vertex)
    return words, pictures, _checked_config(body.get("generationConfig", {}), pictures)


def _checked_contents(contents: Any, vertex: bool) -> tuple[str, list[Image.Image]]:
    if not isinstance(contents, list) or not contents:
        raise ValueError("contents is not specified")
    words, pictures = [], []
    for content in contents:
        if vertex and content.get("role") not in ("user", "model"):
            raise ValueError("Please use a valid role: user, model.")
        for part in content.get("parts") or [{}]:
            if set(part) == {"text"}:
                words.append(part["text"])
            elif set(part) == {"inlineData"}:
                pictures.append(_checked_picture(part["inlineData"]))
            else:
                raise ValueError("contents.parts must not be empty.")
    if len(pictures) > _MAX_IMAGES:
        raise ValueError("Too many images in the request.")
    return "\n".join(words), pictures


def _checked_picture(inline: Mapping[str, Any]) -> Image.Image:
    inline = camel(inline)
    if set(inline) != {"mimeType", "data"} or inline["mimeType"] not in _TYPES:
        raise ValueError(f"Unsupported MIME type: {inline.get('mimeType')}")
    if len(inline["data"]) * 3 // 4 > _MAX_INLINE_BYTES:
        raise ValueError("The inline file is larger than 7 MB.")
    try:
        return open_base64(plain_base64(inline["data"]))
    except Unreadable:
        raise ValueError("Unable to process input image.") from None


def _checked_config(config: Mapping[str, Any], pictures: list[Image.Image]) -> tuple[int, int]:
    """The size of the picture to be made."""
    if set(config) - _CONFIG:
        raise ValueError(f"Unknown name \"{(set(config) - _CONFIG).pop()}\" at 'generation_config'")
    if not 0 <= config.get("temperature", 1) <= 2 or not 0 <= config.get("topP", 1) <= 1:
        raise ValueError("temperature or topP is out of range.")
    if not -(2**31) <= config.get("seed", 0) < 2**31:
        raise ValueError("Invalid value at 'generation_config.seed' (TYPE_INT32)")
    image = config.get("imageConfig", {})
    ratio, times = image.get("aspectRatio"), image.get("imageSize", "1K")
    if set(image) - {"aspectRatio", "imageSize"} or times not in _TIMES or (ratio and ratio not in _SIZES):
        raise ValueError("Invalid imageConfig.")
    if ratio is None:
        ratio = _nearest(pictures[0]) if pictures else "1:1"
    width, height = _SIZES[ratio]
    return width * _TIMES[times], height * _TIMES[times]


def _nearest(picture: Image.Image) -> str:
    return min(_SIZES, key=lambda name: abs(_SIZES[name][0] / _SIZES[name][1] - picture.width / picture.height))
