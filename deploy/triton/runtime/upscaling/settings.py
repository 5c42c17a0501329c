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
    device: str = "auto"
    """`gpu` (Vulkan), `cpu` or `auto`."""
    threads: int = 0
    """Threads of the CPU; 0 leaves it to ncnn."""
    queue: int = 8
    """Pictures that are worked on or wait."""
    max_pixels: int = 64_000_000
    """Largest picture that comes out, in pixels."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Raises ValueError, naming the setting, for a number that is none or a device that is not known."""

        def number(name: str, default: int, least: int) -> int:
            value = environment.get(name) or str(default)
            if not value.isdecimal() or int(value) < least:
                raise ValueError(f"setting {name} must be a whole number of at least {least}, not {value!r}")
            return int(value)

        device = environment.get("UPSCALE_DEVICE") or cls.device
        if device not in ("auto", "cpu", "gpu"):
            raise ValueError(f"setting UPSCALE_DEVICE must be auto, cpu or gpu, not {device!r}")
        return cls(
            artefacts=place(),
            device=device,
            threads=number("UPSCALE_THREADS", cls.threads, 0),
            queue=number("UPSCALE_QUEUE", cls.queue, 1),
            max_pixels=number("UPSCALE_MAX_PIXELS", cls.max_pixels, 1),
        )
