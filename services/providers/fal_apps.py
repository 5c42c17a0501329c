"""The inputs and outputs of fal's usual apps, told apart by their ids.

Sources: the apps' own pages and schemas as of August 2026 (fal.ai/models/<id>/api); the inpainting app's schema is a
relay's copy. An unknown app is given what the flux family takes; `additional_static_params` says the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from services.common.errors import ContentRefused, InvalidRequest, ProviderRefused
from services.providers.capabilities.animating import Animation
from services.providers.capabilities.editing import EditRequest
from services.providers.http import VendorResponse
from services.providers.ports import Drawing, Lora
from services.providers.ratios import nearest

_MAX_FILES = 64
_SEEDS = 2**31
_KONTEXT_RATIOS = ("21:9", "16:9", "4:3", "3:2", "1:1", "2:3", "3:4", "9:16", "9:21")
_BANANA_RATIOS = ("21:9", "16:9", "3:2", "4:3", "5:4", "1:1", "4:5", "3:4", "2:3", "9:16")
_KILLS_HISTORY = "sync_mode"


def drawing_inputs(app: str, drawing: Drawing, image: str | None, mask: str | None) -> dict[str, Any]:
    """`image` and `mask` are addresses."""
    if _takes_many(app):
        return _many(app, drawing.prompt, drawing.seed, [image] if image else [], drawing.width, drawing.height)
    size = {"width": drawing.width, "height": drawing.height} if drawing.width and drawing.height else None
    # An image-to-image app keeps the size of its picture.
    sized = size if image is None or "lora" in app else None
    return _told(
        prompt=drawing.prompt,
        negative_prompt=drawing.negative_prompt or None,
        image_size=sized,
        image_url=image,
        mask_url=mask,
        strength=drawing.strength if image else None,
        num_inference_steps=drawing.steps,
        guidance_scale=drawing.guidance,
        loras=[_lora(lora) for lora in drawing.loras] or None,
        seed=drawing.seed % _SEEDS,
        num_images=1,
        output_format="png",
    )


def editing_inputs(app: str, edit: EditRequest, images: Sequence[str], mask: str | None) -> dict[str, Any]:
    """`images` are the addresses of the picture and of its references.

    Raises:
        InvalidRequest: CAPABILITY_MISSING for more pictures than the app takes.
    """
    if _takes_many(app):
        return _many(app, edit.prompt, edit.seed, images, edit.width, edit.height)
    if len(images) > 1:
        raise InvalidRequest(f"{app} takes no reference pictures", reason="CAPABILITY_MISSING")
    return _told(
        prompt=edit.prompt,
        image_url=images[0],
        mask_url=mask,
        strength=edit.strength if "kontext" not in app else None,
        aspect_ratio=_ratio(edit.width, edit.height, _KONTEXT_RATIOS) if "kontext" in app else None,
        seed=edit.seed % _SEEDS,
        num_images=1,
        output_format="png",
    )


def animating_inputs(app: str, animation: Animation, image: str) -> dict[str, Any]:
    """A film is at least as long as asked for. Raises InvalidRequest: FILM_TOO_LONG."""
    told = _told(prompt=animation.prompt, negative_prompt=animation.negative_prompt or None)
    if "veo" in app:
        seconds = _seconds(app, animation.seconds, (4, 6, 8))
        return told | {"image_url": image, "duration": f"{seconds}s", "seed": animation.seed % 2**32}
    # The public scale ends at 2, kling's at 1.
    told |= _told(cfg_scale=None if animation.guidance is None else min(1.0, animation.guidance / 2))
    if "kling-video/v3" in app:
        return told | {"start_image_url": image, "duration": str(_seconds(app, animation.seconds, range(3, 16)))}
    return told | {"image_url": image, "duration": str(_seconds(app, animation.seconds, (5, 10)))}


def picture_url(answer: VendorResponse) -> str:
    """Of the first picture of an answer.

    Raises:
        ContentRefused: fal blotted it out.
        ProviderRefused: PROVIDER_RESULT_UNUSABLE: there is none.
    """
    if any(answer.member("has_nsfw_concepts") or ()):
        raise ContentRefused("fal's safety checker blotted the picture out")
    for path in (("images", 0, "url"), ("image", "url"), ("images", 0), ("image",)):
        found = answer.member(*path)
        if isinstance(found, str):
            return found
    raise ProviderRefused("fal completed without a picture", reason="PROVIDER_RESULT_UNUSABLE")


def film_url(answer: VendorResponse) -> str:
    """Raises ProviderRefused: PROVIDER_RESULT_UNUSABLE."""
    for path in (("video", "url"), ("videos", 0, "url"), ("video",)):
        found = answer.member(*path)
        if isinstance(found, str):
            return found
    raise ProviderRefused("fal completed without a film", reason="PROVIDER_RESULT_UNUSABLE")


def files_in(output: Any) -> list[tuple[str, str]]:
    """JSON pointer and address of each file of an answer: objects with a `url` of the web."""
    found: list[tuple[str, str]] = []
    for pointer, url in _walk(output, ""):
        if len(found) < _MAX_FILES and all(url != known for _, known in found):
            found.append((pointer, url))
    return found


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Raises InvalidRequest for what would keep a request from ever being found again."""
    if parameters.get(_KILLS_HISTORY):
        raise InvalidRequest("sync_mode keeps no request that could be asked for again", reason="FAL_SYNC_MODE")


def _walk(value: Any, pointer: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        url = value.get("url")
        if isinstance(url, str) and url.startswith(("http://", "https://")):
            yield f"{pointer}/url", url
    members: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        members = value.items()
    elif isinstance(value, list):
        members = enumerate(value)
    for name, member in members:
        yield from _walk(member, f"{pointer}/{str(name).replace('~', '~0').replace('/', '~1')}")


def _takes_many(app: str) -> bool:
    return "nano-banana" in app or "gemini-25-flash-image" in app


def _many(
    app: str, prompt: str, seed: int, images: Sequence[str], width: int | None, height: int | None
) -> dict[str, Any]:
    return _told(
        prompt=prompt,
        image_urls=list(images) or None,
        aspect_ratio=_ratio(width, height, _BANANA_RATIOS),
        resolution=_resolution(width, height) if "nano-banana-" in app else None,
        seed=seed % _SEEDS,
        num_images=1,
        output_format="png",
    )


def _ratio(width: int | None, height: int | None, offered: Sequence[str]) -> str | None:
    """The nearest that is offered."""
    return nearest(width, height, offered) if width and height else None


def _resolution(width: int | None, height: int | None) -> str | None:
    side = max(width or 0, height or 0)
    return None if side == 0 else "1K" if side <= 1024 else "2K" if side <= 2048 else "4K"


def _seconds(app: str, wanted: int, offered: Iterable[int]) -> int:
    for seconds in offered:
        if seconds >= wanted:
            return seconds
    raise InvalidRequest(f"{app} makes no film of {wanted} s", reason="FILM_TOO_LONG")


def _lora(lora: Lora) -> dict[str, Any]:
    if not lora.path.startswith("https://"):
        message = "fal fetches LoRAs from the web: name an https address"
        raise InvalidRequest(message, reason="LORA_NOT_FOUND")
    return {"path": lora.path, "scale": lora.weight}


def _told(**values: Any) -> dict[str, Any]:
    """Without what is left to the app."""
    return {name: value for name, value in values.items() if value is not None}
