"""A provider's own model, called with whatever parameters it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from services.providers.ports import Capability, OnStep


@dataclass(frozen=True, slots=True)
class FreeCall:
    app: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class MadeFile:
    """A file the model made. `pointer` is the JSON pointer of its address `url` in the answer."""

    pointer: str
    url: str
    content: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class FreeAnswer:
    """`output` is the model's own answer, `request_id` the vendor's name of the call."""

    request_id: str
    output: dict[str, Any]
    media: tuple[MadeFile, ...] = ()


@runtime_checkable
class FreeCalling(Protocol):
    async def call_freely(self, wanted: FreeCall, on_step: OnStep) -> FreeAnswer:
        """Raises InvalidRequest, Overloaded, Unavailable or another ComputeError."""
        ...


FREE_CALLING: Capability[FreeCalling] = Capability("run apps with free parameters", FreeCalling)
