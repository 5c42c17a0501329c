"""Settings of the diffusion model: environment first, then Triton's `parameters`, then the default."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    model_path: Path
    """A diffusers directory of the SD, SDXL, SD3 or FLUX family; unset, the starter model."""
    device: str = "auto"
    """`cuda`, `cpu` or `auto`."""
    dtype: str = "auto"
    """`float32`, `bfloat16`, `float16` or `auto`."""
    slots: int = 8
    """Pictures that are drawn together."""
    queue: int = 64
    """Requests that may wait."""
    lora_keep: int = 8
    """LoRAs that are kept loaded."""
    lora_root: Path | None = None
    """Folder that LoRAs must lie in."""
    max_pixels: int = 4_194_304
    """Largest picture, in pixels."""
    threads: int = 0
    """Threads of the CPU; 0 leaves it to PyTorch."""


def read_settings(environ: Mapping[str, str], parameters: Mapping[str, str], *, default_model: Path) -> Settings:
    """Raises ValueError, naming the setting, for a number that is none or below its minimum."""

    def text(name: str) -> str:
        variable = "MODEL_PATH" if name == "model_path" else f"DIFFUSION_{name.upper()}"
        return environ.get(variable) or parameters.get(name) or ""

    def number(name: str, default: int, least: int) -> int:
        value = text(name) or str(default)
        if not value.isdecimal() or int(value) < least:
            raise ValueError(f"setting {name} must be a whole number of at least {least}, not {value!r}")
        return int(value)

    return Settings(
        model_path=Path(text("model_path") or default_model),
        device=text("device") or "auto",
        dtype=text("dtype") or "auto",
        slots=number("slots", 8, 1),
        queue=number("queue", 64, 1),
        lora_keep=number("lora_keep", 8, 1),
        lora_root=Path(text("lora_root")) if text("lora_root") else None,
        max_pixels=number("max_pixels", 4_194_304, 1),
        threads=number("threads", 0, 0),
    )
