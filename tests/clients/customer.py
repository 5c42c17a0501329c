"""What every client is asked to do: draw a picture, wait for it, fetch it as bytes."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class Customer:
    """All that somebody outside knows of a stack."""

    url: str
    key: str

    @property
    def authorization(self) -> str:
        return f"Bearer {self.key}"

    @property
    def tasks(self) -> str:
        return f"{self.url}/api/v1/tasks/"

    def picture(self, path: str) -> str:
        return f"{self.url}/api/v1/storage/images/{path}"


def drawing(client: str) -> dict[str, Any]:
    """The smallest useful task."""
    return {
        "task_type": "GENERATION",
        "origin_instance": client,
        "prompt": "a red mug on a white background",
        "width": 128,
        "height": 128,
        "seed": 7,
    }


def check_picture(content: bytes, *, sides: tuple[int, int] = (128, 128)) -> None:
    """A whole PNG of these sides, as it left the stack."""
    assert content.startswith(PNG), content[:60]
    assert struct.unpack(">II", content[16:24]) == sides
    assert content.endswith(b"IEND\xaeB`\x82")
