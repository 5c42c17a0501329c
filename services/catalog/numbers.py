"""Numbers that several task types and providers take, with their limits."""
from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

Side = Annotated[int, Field(ge=64, le=4096)]
OutputSide = Annotated[int, Field(ge=1, le=16_384)]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]
Steps = Annotated[int, Field(ge=1, le=150)]
Share = Annotated[float, Field(ge=0, le=1)]
Percent = Annotated[float, Field(ge=0, le=100)]
Level = Annotated[float, Field(ge=0, le=255)]


def null_is(default: object, shown: object) -> BeforeValidator:
    """A null stands for the default; `shown` is the type that the public schema names."""
    return BeforeValidator(lambda value: default if value is None else value, json_schema_input_type=shown)
