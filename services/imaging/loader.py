"""One guarded way from whatever a request names as a picture to its bytes or its pixels."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Protocol

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from services.common.errors import NotFound, PayloadTooLarge
from services.common.settings import split
from services.imaging.decoder import DecodedOriginal, DecodedPicture, DecodeLimits, Decoder
from services.imaging.formats import ACCEPTED
from services.imaging.limits import MAX_PIXELS
from services.imaging.local_files import LocalFiles
from services.imaging.remote import PictureFetcher, RemotePictureSettings, fetch_picture
from services.imaging.sources import SourceKind, inline_type, read_inline, tell_apart
from services.net.guarded_http import GuardedHttp, HttpLimits


class ImageSettings(RemotePictureSettings):
    """To be inherited by the settings of a process that loads pictures.

    `local_image_roots` are folders of this machine whose pictures every tenant may name, where a task type allows it.
    """

    max_image_pixels: int = MAX_PIXELS
    """Largest picture, in pixels."""
    image_workers: int = Field(default=2, ge=1)
    """Processes that decode pictures."""
    image_timeout_seconds: float = 20.0
    """How long decoding one may take."""
    image_memory_bytes: int = 2 << 30
    """Memory of one such process."""
    local_image_roots: Annotated[tuple[Path, ...], NoDecode] = ()
    """Folders of this machine whose pictures every tenant may name where a task type allows it, by commas."""

    @field_validator("local_image_roots", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return split(value)


class PictureStore(Protocol):
    """The storage service, as far as loading needs it."""

    async def read(self, path: str, *, tenant: str, limit: int) -> bytes: ...


class ImageLoader:
    """Reads base64, a data URL, an http(s) URL or a storage path of the tenant; where allowed a local file.

    Errors: InvalidRequest with IMAGE_INVALID, BASE64_INVALID, URL_NOT_ALLOWED, URL_UNREACHABLE, PATH_INVALID or
    CONTENT_CODING_UNSUPPORTED; PayloadTooLarge with IMAGE_TOO_LARGE or IMAGE_TOO_MANY_PIXELS; NotFound; Unavailable of
    the storage, or with URL_UNAVAILABLE of the server that a URL names: another try may go well.
    """

    def __init__(
        self,
        *,
        store: PictureStore,
        http: PictureFetcher,
        decoder: Decoder,
        max_bytes: int,
        files: LocalFiles | None = None,
    ) -> None:
        self._store = store
        self._http = http
        self._decoder = decoder
        self._max_bytes = max_bytes
        self._files = files or LocalFiles()

    async def load(self, source: str, *, tenant: str, local: bool = False) -> DecodedPicture:
        """The picture decoded: pixels uint8 [height, width, 3 or 4], upright, sRGB; the first frame of an animation."""
        return await self.decode(await self.fetch(source, tenant=tenant, local=local))

    async def decode(self, content: bytes) -> DecodedPicture:
        """The same of a file that is here."""
        return await self._decoder.decode(content)

    async def decode_original(self, content: bytes, *, grey: bool = True) -> DecodedOriginal:
        """The picture in its own colours, with their ICC profile; without `grey` a grey one becomes sRGB."""
        return await self._decoder.decode_original(content, grey=grey)

    async def in_profile(self, colour: tuple[int, int, int], profile: bytes) -> tuple[int, int, int]:
        """An sRGB colour in the numbers of an ICC profile."""
        return await self._decoder.in_profile(colour, profile)

    async def fetch(self, source: str, *, tenant: str, local: bool = False) -> bytes:
        """The bytes as they are, within the size limit but not looked at. `local` allows a file of this machine."""
        named = tell_apart(source)
        if named.kind is SourceKind.FILE:
            return await (self._files if local else LocalFiles()).read(named.text, max_bytes=self._max_bytes)
        if named.kind is SourceKind.URL:
            return await fetch_picture(self._http, named.text, max_bytes=self._max_bytes)
        if named.kind is SourceKind.PATH:
            return await self._read_path(named.text, tenant)
        return await read_inline(named, max_bytes=self._max_bytes)

    async def _read_path(self, path: str, tenant: str) -> bytes:
        try:
            return await self._store.read(path, tenant=tenant, limit=self._max_bytes)
        except NotFound as error:
            told = f"there is no object {path!r}"
            if found := inline_type(path):
                told += f"; as base64 it would be {found}, and pictures are taken as {ACCEPTED}"
            raise NotFound(told, reason=error.reason) from error
        except PayloadTooLarge as error:
            raise PayloadTooLarge(error.message, reason="IMAGE_TOO_LARGE") from error


@asynccontextmanager
async def open_loader(
    settings: ImageSettings, store: PictureStore, *, http: Callable[[HttpLimits], GuardedHttp] = GuardedHttp
) -> AsyncIterator[ImageLoader]:
    """A loader with its child processes and its HTTP client, for as long as the block lasts."""
    limits = DecodeLimits(
        max_bytes=settings.max_image_bytes,
        max_pixels=settings.max_image_pixels,
        seconds=settings.image_timeout_seconds,
        memory_bytes=settings.image_memory_bytes,
    )
    async with Decoder(limits, workers=settings.image_workers) as decoder, http(settings.reach) as client:
        files = LocalFiles(settings.local_image_roots)
        yield ImageLoader(store=store, http=client, decoder=decoder, max_bytes=settings.max_image_bytes, files=files)
