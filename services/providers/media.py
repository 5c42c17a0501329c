"""Pictures and films on their way to a vendor and back: guarded, within limits, decoded in a child process."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from services.common.errors import ComputeError, InvalidRequest, PayloadTooLarge, ProviderRefused, Unavailable
from services.imaging.decoder import DecodeLimits, Decoder
from services.imaging.encoding import CONTENT_TYPES, Format, encode
from services.imaging.loader import ImageSettings
from services.imaging.sniffing import HEAD_BYTES, content_type_of
from services.imaging.sources import PictureSource, SourceKind, read_inline
from services.net.guarded_http import FetchedContent, GuardedHttp
from services.providers.ports import DrawnPicture, ModelCard, Pixels

_PAUSES = (0.3, 1.0, 3.0)
# A file that is not there yet may be a moment later.
_UNREACHED = ("URL_UNREACHABLE", "URL_UNAVAILABLE")
# Rows are blended in strips: a picture in words of two bytes, several times over, would take four times its own memory.
_OPAQUE = 255
# Samples: 12 megapixels in three colours, about 25 MB as PNG. A mask has one, and packs well.
_LARGEST_EXACT = 36_000_000


class MediaSettings(ImageSettings):
    """A film is larger than a picture and takes longer to fetch."""

    max_media_bytes: int = 512 << 20
    """Largest film or other file of a vendor's."""
    media_timeout_seconds: float = 180.0
    """How long fetching one may take."""


class MediaFetcher(Protocol):
    async def get(self, url: str, *, max_bytes: int) -> FetchedContent: ...


@dataclass(frozen=True, slots=True)
class MediaFile:
    """`content_type` is what its first bytes say it is."""

    content: bytes = field(repr=False)
    content_type: str


@dataclass(frozen=True, slots=True)
class Made:
    """A vendor's picture: RGB `[H, W, 3]`, white where nothing can be seen, and `[H, W]` of a transparent one."""

    pixels: Pixels = field(repr=False)
    alpha: Pixels | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()

    def by(self, model: ModelCard, seed: int | None = None) -> DrawnPicture:
        return DrawnPicture(pixels=self.pixels, model=model, seed=seed, alpha=self.alpha, notes=self.notes)


class Media:
    """What vendors make is fetched at once, as their addresses expire."""

    def __init__(self, http: MediaFetcher, decoder: Decoder, *, max_bytes: int) -> None:
        self._http = http
        self._decoder = decoder
        self.max_bytes = max_bytes

    async def fetch(self, url: str, *, room: int | None = None) -> MediaFile:
        """The file at a vendor's address or in a data URL; at most `room` bytes, where there is less than the limit.

        Raises:
            Unavailable: PROVIDER_RESULT_UNREACHABLE; the job that made it can be asked for it again.
            ProviderRefused: PROVIDER_RESULT_UNUSABLE: its address is not public, or it is too large.
        """
        content = await self._content(url, self.max_bytes if room is None else min(room, self.max_bytes))
        return MediaFile(content, content_type_of(content[:HEAD_BYTES]))

    async def fetch_picture(self, url: str) -> Made:
        """Raises as `fetch` and `decode` do."""
        return await self.decode(await self._content(url, self.max_bytes))

    async def decode(self, content: bytes) -> Made:
        """Raises ProviderRefused: PROVIDER_RESULT_UNUSABLE."""
        try:
            picture = await self._decoder.decode(content)
        except InvalidRequest as error:
            raise _unusable(f"the provider's picture cannot be read: {error.message}") from error
        pixels, alpha = await asyncio.to_thread(_apart, picture.pixels)
        return Made(pixels, alpha, tuple(picture.notes))

    async def _content(self, url: str, limit: int) -> bytes:
        try:
            if url.startswith("data:"):
                return await read_inline(PictureSource(SourceKind.DATA_URL, url), max_bytes=limit)
            return await self._fetched(url, limit)
        except PayloadTooLarge as error:
            raise _unusable("the provider's file is too large") from error
        except InvalidRequest as error:
            raise _unusable(f"the provider's file cannot be fetched: {error.message}") from error

    async def _fetched(self, url: str, limit: int) -> bytes:
        for pause in (*_PAUSES, None):
            try:
                return (await self._http.get(url, max_bytes=limit)).content
            except (InvalidRequest, Unavailable) as error:
                if error.reason not in _UNREACHED:
                    raise
                if pause is None:
                    raise _unreachable(error) from error
                await asyncio.sleep(pause)
        raise AssertionError("the last pause is None")


@asynccontextmanager
async def open_media(settings: MediaSettings) -> AsyncIterator[Media]:
    """For as long as the block lasts; its child process starts with the first picture."""
    limits = DecodeLimits(
        max_bytes=settings.max_image_bytes,
        max_pixels=settings.max_image_pixels,
        seconds=settings.image_timeout_seconds,
        memory_bytes=settings.image_memory_bytes,
    )
    reach = replace(settings.reach, total_seconds=settings.media_timeout_seconds)
    async with Decoder(limits, workers=1) as decoder, GuardedHttp(reach) as http:
        yield Media(http, decoder, max_bytes=settings.max_media_bytes)


async def as_data_url(pixels: Pixels, form: Format | None = None, *, quality: int = 92) -> str:
    """`[H, W]`, `[H, W, 3]` or `[H, W, 4]` as vendors take a picture inside JSON.

    Without a `form` exactly, as PNG, up to a size where a photograph would fill a request by itself; then as JPEG.
    """
    if form is None:
        form, quality = ("JPEG", 95) if pixels.size > _LARGEST_EXACT else ("PNG", quality)
    return f"data:{CONTENT_TYPES[form]};base64,{await as_base64(pixels, form, quality=quality)}"


async def as_base64(pixels: Pixels, form: Format = "PNG", *, quality: int = 92) -> str:
    """The same without the prefix."""

    def pack() -> str:
        return base64.b64encode(encode(pixels, form, quality=quality)).decode()

    return await asyncio.to_thread(pack)


def _apart(pixels: Pixels) -> tuple[Pixels, Pixels | None]:
    """Colours, and transparency where there is any."""
    if pixels.shape[2] == 3:
        return pixels, None
    colours, alpha = np.ascontiguousarray(pixels[:, :, :3]), np.ascontiguousarray(pixels[:, :, 3])
    if alpha.min() == _OPAQUE:
        return colours, None
    # Any colour may be hidden, and would show at the edge of what is scaled.
    colours[alpha == 0] = 255
    return colours, alpha


def _unusable(message: str) -> ProviderRefused:
    return ProviderRefused(message, reason="PROVIDER_RESULT_UNUSABLE")


def _unreachable(error: ComputeError) -> Unavailable:
    message = f"the provider's file cannot be fetched: {error.message}"
    return Unavailable(message, reason="PROVIDER_RESULT_UNREACHABLE")
