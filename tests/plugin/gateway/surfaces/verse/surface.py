"""The verse API."""

from __future__ import annotations

from typing import Any

from fastapi.exceptions import RequestValidationError

from gateway.edge.errors import ErrorAnswer
from gateway.edge.surface import Surface


class VerseErrors:
    """`{"oops": …}`."""

    media_type = "application/json"

    def render(self, failure: ErrorAnswer) -> dict[str, Any]:
        return {"oops": failure.reason, "status": failure.status}

    def render_invalid(self, error: RequestValidationError) -> tuple[str, dict[str, Any]]:
        return self.media_type, {"oops": "INVALID", "count": len(error.errors())}


SURFACE = Surface(
    prefix="/v1/verses/",
    errors=VerseErrors(),
    tags=({"name": "Verses", "description": "Lines"},),
    path_parameters={"verse": "Number of the verse"},
)
