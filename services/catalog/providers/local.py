"""The deployment's own models on Triton."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from services.catalog.enums import ProviderType
from services.catalog.prompts import OptionalPrompt
from services.catalog.providers import ProviderSettings
from services.catalog.queues import INFERENCE_QUEUE

RembgModel = Literal[
    "u2net", "u2netp", "u2net_human_seg", "u2net_cloth_seg", "silueta", "isnet-general-use", "isnet-anime", "sam"
]
_BY_PATH = "not here unless `MATTE_MODEL_PATH` names its file, {file}"
REMBG_MODELS: Mapping[RembgModel, str] = {
    "u2netp": "here, where the set-up could take it out of its wheel",
    "u2net": _BY_PATH.format(file="`u2net.onnx`"),
    "u2net_human_seg": _BY_PATH.format(file="`u2net_human_seg.onnx`"),
    "silueta": _BY_PATH.format(file="`silueta.onnx`"),
    "isnet-general-use": _BY_PATH.format(file="`isnet-general-use.onnx`"),
    "isnet-anime": _BY_PATH.format(file="`isnet-anime.onnx`"),
    "u2net_cloth_seg": "not to be had: it tells three kinds of clothes apart and knows no subject",
    "sam": "not to be had: it cuts out what somebody points at, and nobody does",
}
"""Which this deployment has; docs/pictures.md has the same table."""


class LocalProviderConfig(ProviderSettings):
    """Settings for the local provider"""

    queue: ClassVar[str] = INFERENCE_QUEUE
    provider_type: Literal[ProviderType.LOCAL] = ProviderType.LOCAL
    rembg_model: RembgModel | None = Field(
        None,
        description="Network that cuts out the subject; left out, the one that fits the picture. docs/pictures.md says "
        "which are here; any other fails the task with MATTE_MODEL_MISSING",
    )
    steps: int = Field(20, ge=1, le=150, description="Denoising steps")
    guidance: float = Field(5.0, ge=0, le=30, allow_inf_nan=False, description="How strictly the prompt is followed")
    negative_prompt: OptionalPrompt = Field("", description="What the picture should not show")
    exact: bool = Field(False, description="Run in the batch-of-one lane: the same seed gives the same bits")
    preview_every: int = Field(1, ge=0, le=150, description="Steps between two previews; 0 for none")
