"""Numbers and names that several task types and providers take, with their limits."""

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
# Of boxes: 0.5 makes one half as large again.
Growth = Annotated[float, Field(ge=0, le=4)]
Feather = Annotated[int, Field(ge=0, le=1024)]
Retries = Annotated[int, Field(ge=0, le=10)]
Plain = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f]+$")]
# What becomes a part of an address that is asked with the deployment's own key: it must not lead elsewhere.
AddressPart = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@\-]*$")]
FalApp = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[A-Za-z0-9][\w.\-]*(/[A-Za-z0-9][\w.\-]*)+$")]


def null_is(default: object, shown: object) -> BeforeValidator:
    """A null stands for the default; `shown` is the type that the public schema names."""
    return BeforeValidator(lambda value: default if value is None else value, json_schema_input_type=shown)
