"""What the operator sets, read from the server's environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from artefacts import place


@dataclass(frozen=True)
class Settings:
    artefacts: Path
    """Where the set-up puts networks out of wheels."""
    threads: int = 2
    """Threads of the CPU."""
    max_pixels: int = 24_000_000
    """Largest picture, in pixels."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Raises ValueError, naming the setting, for a number that is none."""

        def number(name: str, default: int) -> int:
            value = environment.get(name) or str(default)
            if not value.isdecimal() or int(value) < 1:
                raise ValueError(f"setting {name} must be a whole number of at least 1, not {value!r}")
            return int(value)

        return cls(
            artefacts=place(),
            threads=number("DETECTION_THREADS", cls.threads),
            max_pixels=number("DETECTION_MAX_PIXELS", cls.max_pixels),
        )
