"""What a refinement asks of a provider: a capability by its factor, and a size."""

from __future__ import annotations

from collections.abc import Set

from services.catalog.enums import ProviderCapability, RefineStrategy
from services.common.errors import InvalidRequest
from services.providers.calls import VendorCall
from services.providers.capabilities.refining import Refinement

_BY_FACTOR: dict[float, ProviderCapability] = {
    2: ProviderCapability.UPSCALE_2X,
    4: ProviderCapability.UPSCALE_4X,
    8: ProviderCapability.UPSCALE_8X,
}


def needed_capability(refinement: Refinement) -> ProviderCapability:
    """Of the upscale: UPSCALE_nX for the factors 2, 4 and 8, UPSCALE_FLOAT for others, OUTPUT_SIZE without one."""
    if refinement.factor is None:
        return ProviderCapability.OUTPUT_SIZE
    return _BY_FACTOR.get(refinement.factor, ProviderCapability.UPSCALE_FLOAT)


def check_capabilities(
    refinement: Refinement, offered: Set[ProviderCapability], call: VendorCall, *, faithful: bool = False
) -> None:
    """`offered` are the provider's; those that a task switches on may only be fewer. `faithful`: it can be that.

    Raises:
        InvalidRequest: CAPABILITY_MISSING, naming the one.
    """
    wanted = [needed_capability(refinement)] if refinement.upscale is not None else []
    if refinement.faces is not None:
        wanted.append(ProviderCapability.FACE_DETAIL)
    if refinement.strategy is RefineStrategy.FAITHFUL and not faithful:
        raise _missing("this provider cannot enlarge faithfully; ask LOCAL, or leave refine_strategy out")
    for one in wanted:
        if one not in offered:
            raise _missing(f"this provider cannot do {one}; it can do {', '.join(sorted(offered))}")
        if call.capabilities is not None and one not in call.capabilities:
            raise _missing(f"this task needs {one}, which its active_provider_capabilities leave out")


def target_size(refinement: Refinement) -> tuple[int, int]:
    """(width, height) of the answer; a side that is not given follows from the other, and from none the picture's."""
    height, width = refinement.image.shape[:2]
    if refinement.factor is not None:
        return round(width * refinement.factor), round(height * refinement.factor)
    if refinement.width and refinement.height:
        return refinement.width, refinement.height
    if refinement.width:
        return refinement.width, max(1, round(height * refinement.width / width))
    if refinement.height:
        return max(1, round(width * refinement.height / height)), refinement.height
    return width, height


def _missing(message: str) -> InvalidRequest:
    return InvalidRequest(message, reason="CAPABILITY_MISSING")
