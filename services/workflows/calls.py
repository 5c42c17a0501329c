"""What calls to the workflows service have in common."""

from __future__ import annotations

from typing import Any

# Of whoever decides, and of what they say with it.
NAME_LENGTH, COMMENT_LENGTH = 100, 1_000


def workflow_id_of(request: Any) -> str:
    """As it is stored: UUIDs name the same in any case (RFC 9562)."""
    return str(request.workflow_id).lower()
