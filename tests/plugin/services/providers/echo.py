"""ECHO: says what it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self

from pydantic_settings import BaseSettings

from services.catalog.providers.echo import EchoConfig
from services.providers.calls import Call, Terms
from services.providers.capabilities.conversing import Question, Reply
from services.providers.media import Media
from services.providers.ports import Check

NAME = "ECHO"


class Settings(BaseSettings):
    """None."""


@dataclass(frozen=True)
class Echo:
    config: EchoConfig = field(default_factory=EchoConfig)
    checks: Mapping[str, Check] = field(default_factory=dict)
    canaries: Mapping[str, Check] = field(default_factory=dict)
    terms: Terms | None = None

    def configured(self, config: Mapping[str, Any], call: Call) -> Self:
        return replace(self, config=EchoConfig.model_validate(config))

    async def converse(self, question: Question) -> Reply:
        text = "\n".join([question.prompt] * self.config.times)
        return Reply(text, vendor="echo", model="echo", finish="stop")


@asynccontextmanager
async def connect(settings: Settings, media: Media | None = None) -> AsyncIterator[Echo]:
    yield Echo()
