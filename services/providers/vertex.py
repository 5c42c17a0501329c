"""VERTEX: Google's image models draw and edit, on the Gemini API or on Vertex AI.

Sources: ai.google.dev/gemini-api/docs/image-generation and docs.cloud.google.com/vertex-ai, model reference and API
errors, in stored copies up to October 2026. They know neither masks nor LoRAs, and the share of a picture that may
change is told to them in words only. There is no job to come back to: a lost answer stays unknown. Not verified:
whether blocked or abandoned pictures are billed; which ids of models Vertex AI shares with the Gemini API, so the model
is a setting. A key file of a service account is not read: it would take a cryptographic library of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from services.catalog.enums import ProviderType
from services.catalog.providers.vertex import VertexConfig
from services.common.errors import InvalidRequest, ProviderRefused
from services.providers.adapter import ProviderAdapter, defaults
from services.providers.calls import AccountTerms
from services.providers.capabilities.editing import EditRequest
from services.providers.google.access import access
from services.providers.google.failures import judge
from services.providers.google.images import GoogleImages, ImageRequest, nearest_ratio
from services.providers.google.settings import GoogleSettings
from services.providers.http import HttpTerms, open_http
from services.providers.media import Media
from services.providers.ports import Drawing, DrawnPicture, OnStep

NAME = ProviderType.VERTEX.value
SYSTEM = (
    "You are a specialist for fashion and product photography. You know garments, fabrics, cuts, seams, prints and how "
    "they fall on a body, and you work as the retoucher of a fashion house would. Keep the identity, pose and skin of "
    "people, and the shape, colour, pattern, lettering and logos of garments and products exactly as they are shown, "
    "unless you are told to change them. Light, perspective and shadows are consistent and natural. Add no text, frame "
    "or watermark. Answer with one finished picture."
)
Settings = GoogleSettings


@dataclass(frozen=True, kw_only=True)
class Vertex(ProviderAdapter[VertexConfig]):
    google: GoogleImages
    config: VertexConfig = defaults(VertexConfig)

    @property
    def terms(self) -> AccountTerms:
        return self.google.settings.terms("google")

    def require_settings(self) -> None:
        self.google.settings.require_access(NAME)

    async def draw(self, drawing: Drawing, on_step: OnStep) -> DrawnPicture:
        """Strength, steps and guidance are not told to the model; a negative prompt is put into words.

        Raises:
            InvalidRequest: CAPABILITY_MISSING for a mask or a LoRA.
            ComputeError: as `GoogleImages.paint`.
        """
        if drawing.loras:
            raise _cannot("LORA")
        if drawing.mask is not None:
            raise _cannot("INPAINTING")
        words = drawing.prompt
        if drawing.negative_prompt:
            words += f"\n\nThe picture must not show: {drawing.negative_prompt}"
        wish = self._wish(words, drawing.seed, drawing.width, drawing.height)
        pictures = () if drawing.image is None else (drawing.image,)
        return await self._draw(replace(wish, pictures=pictures))

    async def edit(self, edit: EditRequest, on_step: OnStep) -> DrawnPicture:
        """The picture to be changed is the first of those sent. Raises as `draw`."""
        if edit.mask is not None:
            raise _cannot("INPAINTING")
        wish = self._wish(edit.prompt, edit.seed, edit.width, edit.height)
        return await self._draw(replace(wish, pictures=(edit.image, *edit.references)))

    def _wish(self, words: str, seed: int, width: int | None, height: int | None) -> ImageRequest:
        ratio = self.config.aspect_ratio or (nearest_ratio(width, height) if width and height else None)
        return ImageRequest(
            words,
            ratio=ratio,
            size=self.config.image_size,
            seed=seed,
            temperature=self.config.temperature,
            top_p=self.config.top_p,
            system=self.config.system_instructions or SYSTEM,
        )

    async def _draw(self, wish: ImageRequest) -> DrawnPicture:
        model = self.config.model or self.google.settings.model
        try:
            picture = await self.google.draw(model, wish, self.call)
        except ProviderRefused as error:
            if self.config.model and error.reason == "PROVIDER_MODEL_UNKNOWN":
                raise InvalidRequest(error.message, reason=error.reason) from error
            raise
        if self.google.settings.usd_per_picture is not None:
            self.call.costs(self.google.settings.usd_per_picture)
        return picture


def _cannot(capability: str) -> InvalidRequest:
    return InvalidRequest(f"{NAME} cannot do {capability}", reason="CAPABILITY_MISSING")


@asynccontextmanager
async def connect(settings: Settings, media: Media) -> AsyncIterator[Vertex]:
    terms = HttpTerms(request_seconds=settings.timeout_seconds)
    async with open_http("google", secrets=(settings.secret, settings.token), terms=terms, judge=judge) as http:
        yield Vertex(google=GoogleImages(settings, http, access(settings, http), media))
