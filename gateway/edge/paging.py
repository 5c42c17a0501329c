"""Lists in pages, as REST has them: a `Link` to the next one, beside `skip` for those who count."""

from __future__ import annotations

from collections import Counter
from typing import Any
from urllib.parse import urlencode

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway.edge.paths import asked_path

LINK = "Link"
_REPEATABLE = frozenset({"id"})
_CURSOR = (
    "Where the list goes on; the `Link` (rel=next) of the page before has it. Nothing comes twice, nothing is missed"
)


class Paged(BaseModel):
    """Paging of a list; an unknown parameter is refused."""

    model_config = ConfigDict(extra="forbid")

    skip: int = Field(0, ge=0, le=1_000_000, description="Items passed over")
    limit: int = Field(100, ge=1, le=1000, description="Most items returned")
    cursor: str | None = Field(None, max_length=8192, description=_CURSOR)

    @model_validator(mode="after")
    def _check_beginning(self) -> Paged:
        if self.skip and self.cursor:
            raise ValueError("skip counts from the beginning of the list: give cursor or skip")
        return self


def _said_once(request: Request) -> None:
    """Raises RequestValidationError where a parameter that has one value is given several, none of which is meant."""
    counted = Counter(name for name, _ in request.query_params.multi_items())
    repeated = [name for name, count in counted.items() if count > 1 and name not in _REPEATABLE]
    if repeated:
        said = {"msg": "give this parameter once", "type": "repeated"}
        raise RequestValidationError([{"loc": ("query", name), **said} for name in repeated])


# For a route that has parameters.
SAID_ONCE = [Depends(_said_once)]


def next_link(request: Request, **more: Any) -> dict[str, str]:
    """The header that leads to the next page: the same request, with these parameters."""
    kept = [(name, value) for name, value in request.query_params.multi_items() if name not in {"skip", *more}]
    query = urlencode([*kept, *more.items()])
    return {LINK: f'<{asked_path(request.scope)}?{query}>; rel="next"'}
