"""Pictures by address: where they may be fetched from, and how a failure is told, whoever fetches them."""

from __future__ import annotations

from typing import Annotated, Protocol

from pydantic import field_validator
from pydantic_settings import BaseSettings, NoDecode

from services.common.errors import InvalidRequest, PayloadTooLarge, Unavailable
from services.common.settings import split
from services.net.addresses import PORTS, parse_target
from services.net.guarded_http import FetchedContent, HttpLimits


class RemotePictureSettings(BaseSettings):
    """To be inherited by the settings of a process that fetches pictures.

    `allow_private_urls` lists host:port of inward servers that may be fetched from (development and tests only).
    """

    max_image_bytes: int = 50 << 20
    """Largest picture, in bytes."""
    allow_private_urls: Annotated[frozenset[str], NoDecode] = frozenset()
    """host:port of inward servers that may be fetched from, by commas; for development and tests only."""
    allowed_url_ports: Annotated[frozenset[int], NoDecode] = PORTS
    """Ports that may be fetched from, by commas."""

    @property
    def reach(self) -> HttpLimits:
        """Of the guarded client."""
        return HttpLimits(ports=self.allowed_url_ports, allowed_private=self.allow_private_urls)

    @field_validator("allow_private_urls", "allowed_url_ports", mode="before")
    @classmethod
    def _split_fetched(cls, value: object) -> object:
        return split(value)


class PictureFetcher(Protocol):
    """The guarded client, as far as it is needed for pictures."""

    async def get(self, url: str, *, max_bytes: int) -> FetchedContent: ...


async def fetch_picture(http: PictureFetcher, url: str, *, max_bytes: int) -> bytes:
    """The bytes as they are, not looked at.

    Raises:
        InvalidRequest: URL_NOT_ALLOWED, URL_UNREACHABLE, CONTENT_CODING_UNSUPPORTED.
        PayloadTooLarge: IMAGE_TOO_LARGE.
        Unavailable: URL_UNAVAILABLE; another try may go well.
    """
    try:
        return (await http.get(url, max_bytes=max_bytes)).content
    except PayloadTooLarge as error:
        raise PayloadTooLarge(error.message, reason="IMAGE_TOO_LARGE") from error
    except (InvalidRequest, Unavailable) as error:
        if error.reason == "URL_NOT_ALLOWED":
            raise
        # The host only: the rest of an address may be a secret.
        told = f"{parse_target(url).host}: {error.message}"
        raise type(error)(told, reason=error.reason, retry_after=error.retry_after) from error
