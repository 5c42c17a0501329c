"""What the gateway knows of a public API besides its routes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from gateway.edge.errors import PROBLEMS, ErrorRenderer


@dataclass(frozen=True, slots=True)
class Surface:
    """`gateway/surfaces/<name>/surface.py` has one as `SURFACE`; its routes are in `routers` beside it.

    `prefix` is what all its paths begin with, such as `/api/v1/`; `errors` is how it spells them. The rest is for the
    OpenAPI document: tags as it has them, what the parameters of paths mean, models that only bodies or only answers
    refer to, and schemas made by hand.
    """

    prefix: str
    errors: ErrorRenderer = PROBLEMS
    tags: tuple[dict[str, str], ...] = ()
    path_parameters: Mapping[str, str] = field(default_factory=dict)
    body_models: tuple[type[BaseModel], ...] = ()
    answer_models: tuple[type[BaseModel], ...] = ()
    schemas: Mapping[str, Any] = field(default_factory=dict)
