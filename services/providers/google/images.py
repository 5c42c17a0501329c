"""One request for a picture, and the picture of its answer.

Fields: ai.google.dev/api/generate-content and docs.cloud.google.com/vertex-ai model reference inference. Vertex AI
wants a role with every content and takes at most 14 pictures of 7 MB each. The sides of a picture follow from its ratio
and from 1K, 2K or 4K. Not verified: how many pictures the Gemini API takes for each model.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from PIL import Image

from services.common.errors import (
    InvalidRequest,
    OutcomeUnknown,
    Overloaded,
    PayloadTooLarge,
    ProviderRefused,
    Unavailable,
)
from services.imaging.encoding import encode
from services.imaging.sources import PictureSource, SourceKind, read_inline
from services.providers.calls import VendorCall
from services.providers.google.access import GoogleCredentials
from services.providers.google.failures import no_picture
from services.providers.google.settings import GoogleSettings
from services.providers.http import VendorHttp, VendorResponse
from services.providers.media import Media
from services.providers.ports import DrawnPicture, ModelCard, Pixels
from services.providers.ratios import nearest

RATIOS = ("1:1", "3:2", "2:3", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
MAX_PICTURES = 14
_MAX_PICTURE_BYTES = 7_000_000
_JPEG_QUALITY = 95
_SEEDS = 2**31


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """`pictures` are RGB `[H, W, 3]`. Without a `ratio` the answer has that of the first of them."""

    words: str
    pictures: tuple[Pixels, ...] = ()
    ratio: str | None = None
    size: str = "1K"
    seed: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    system: str = ""


@dataclass(frozen=True)
class GoogleImages:
    """`media` decodes what comes back."""

    settings: GoogleSettings
    http: VendorHttp
    access: GoogleCredentials
    media: Media

    async def draw(self, model: str, wish: ImageRequest, call: VendorCall) -> DrawnPicture:
        """Pays for one picture. Raises InvalidRequest: TOO_MANY_PICTURES, or as `paint`."""
        body = await pack(wish)
        return await call.once(lambda: self.paint(model, body), {"model": model})

    async def paint(self, model: str, body: Mapping[str, Any]) -> DrawnPicture:
        """Pays for what `pack` made. To be run by a call.

        Raises:
            ContentRefused: a policy stopped the request or the picture.
            ProviderFailed: PROVIDER_NO_IMAGE, when the model only talks.
            ProviderRefused: PROVIDER_RESULT_UNUSABLE, or no right to ask.
            OutcomeUnknown: the answer was lost, here or on its way.
            ComputeError: what else the vendor said.
        """
        answer = await self._send(model, body)
        inline = inline_of(answer)
        if inline is None:
            raise no_picture(answer)
        try:
            made = await self.media.decode(await self._unpacked(inline))
        except (Unavailable, Overloaded) as error:
            raise OutcomeUnknown(f"the picture came and was not read: {error.message}") from error
        card = ModelCard(name=str(answer.member("modelVersion") or model), sha256="", licence="")
        return made.by(card, body["generationConfig"].get("seed"))

    async def _unpacked(self, text: str) -> bytes:
        try:
            return await read_inline(PictureSource(SourceKind.BASE64, text), max_bytes=self.media.max_bytes)
        except PayloadTooLarge as error:
            raise ProviderRefused("the provider's picture is too large", reason="PROVIDER_RESULT_UNUSABLE") from error
        except InvalidRequest as error:
            raise ProviderRefused("the provider's picture is not base64", reason="PROVIDER_RESULT_UNUSABLE") from error

    async def _send(self, model: str, body: Mapping[str, Any]) -> VendorResponse:
        try:
            return await self._post(model, body)
        except ProviderRefused as error:
            if error.reason != "PROVIDER_KEY_REFUSED" or not self.access.renew():
                raise
        return await self._post(model, body)

    async def _post(self, model: str, body: Mapping[str, Any]) -> VendorResponse:
        headers = await self.access.headers()
        # One second less than the whole try may take, so that its end is known for what it is.
        seconds = self.settings.timeout_seconds - 1
        return await self.http.send(self.settings.address(model), body, headers=headers, seconds=seconds)


async def pack(wish: ImageRequest) -> dict[str, Any]:
    """The body of a request. Raises InvalidRequest: TOO_MANY_PICTURES."""
    if len(wish.pictures) > MAX_PICTURES:
        raise InvalidRequest(f"the model takes at most {MAX_PICTURES} pictures", reason="TOO_MANY_PICTURES")
    return _body(wish, [await asyncio.to_thread(inline_picture, one) for one in wish.pictures])


def _body(wish: ImageRequest, pictures: list[dict[str, Any]]) -> dict[str, Any]:
    config: dict[str, Any] = {"responseModalities": ["TEXT", "IMAGE"]}
    if wish.temperature is not None:
        config["temperature"] = wish.temperature
    if wish.top_p is not None:
        config["topP"] = wish.top_p
    if wish.seed is not None:
        # The field holds 31 bits.
        config["seed"] = wish.seed % _SEEDS
    image = {"aspectRatio": wish.ratio} if wish.ratio else {}
    if wish.size != "1K":
        # The default, and models that know no other refuse the field.
        image["imageSize"] = wish.size
    if image:
        config["imageConfig"] = image
    contents = [{"role": "user", "parts": [*pictures, {"text": wish.words}]}]
    system = {"systemInstruction": {"parts": [{"text": wish.system}]}} if wish.system else {}
    return {"contents": contents, "generationConfig": config, **system}


def inline_picture(pixels: Pixels) -> dict[str, Any]:
    """`[H, W, 3]` as a part: PNG, or JPEG where that is too large, shrunk as far as it must be."""
    content, kind = encode(pixels), "image/png"
    picture = Image.fromarray(pixels)
    while len(content) > _MAX_PICTURE_BYTES:
        if kind == "image/jpeg":
            picture = picture.reduce(2)
        target = BytesIO()
        picture.save(target, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
        content, kind = target.getvalue(), "image/jpeg"
    return {"inlineData": {"mimeType": kind, "data": base64.b64encode(content).decode()}}


def inline_of(answer: VendorResponse) -> str | None:
    """The base64 of the first picture that is not a draft of the model's thinking."""
    parts = answer.member("candidates", 0, "content", "parts")
    for part in parts if isinstance(parts, list) else []:
        inline = part.get("inlineData") if isinstance(part, dict) and not part.get("thought") else None
        if isinstance(inline, dict) and str(inline.get("mimeType")).startswith("image/"):
            return str(inline.get("data"))
    return None


def nearest_ratio(width: int, height: int) -> str:
    """Of RATIOS, by the quotient."""
    return nearest(width, height, RATIOS)
