"""ECHO: says what it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pydantic_settings import BaseSettings

from services.catalog.providers.echo import EchoConfig
from services.providers.adapter import ProviderAdapter, defaults
from services.providers.calls import AccountTerms
from services.providers.capabilities.conversing import Question, Reply
from services.providers.media import Media

NAME = "ECHO"


class Settings(BaseSettings):
    """None."""


@dataclass(frozen=True, kw_only=True)
class Echo(ProviderAdapter[EchoConfig]):
    config: EchoConfig = defaults(EchoConfig)
    terms: AccountTerms | None = None

    async def converse(self, question: Question) -> Reply:
        text = "\n".join([question.prompt] * self.config.times)
        return Reply(text, vendor="echo", model="echo", finish="stop")


@asynccontextmanager
async def connect(settings: Settings, media: Media | None = None) -> AsyncIterator[Echo]:
    yield Echo()
