"""A language model's answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from services.providers.ports import Capability, Pixels


@dataclass(frozen=True, slots=True)
class Question:
    """`images` are RGB `[H, W, 3]`. `schema` is a JSON schema the answer must follow, where one is wanted.

    Of the schema language: type, enum, properties, items, minimum and maximum; all fields of an object are required.
    """

    prompt: str
    system: str | None = None
    images: tuple[Pixels, ...] = ()
    schema: dict[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """`finish` is in the vendor's words, and `model` the one that answered, which may be a dated one of its name.

    `thoughts` are what the model thought aloud, where it does and the vendor shows it; no part of the `text`.
    """

    text: str
    vendor: str
    model: str
    finish: str
    input_tokens: int | None = None
    output_tokens: int | None = None
    thoughts: str = ""


@runtime_checkable
class Conversing(Protocol):
    async def converse(self, question: Question) -> Reply:
        """Raises InvalidRequest, Overloaded, Unavailable or another ComputeError."""
        ...


CONVERSING: Capability[Conversing] = Capability("answer prompts", Conversing)
