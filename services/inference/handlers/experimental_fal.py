"""Calls an app with parameters of the caller's own, and keeps the files it makes."""

from __future__ import annotations

import mimetypes
from typing import Any

import orjson

from services.catalog.free_json import check_json, with_large_numbers_as_text
from services.catalog.tasks.experimental_fal import ExperimentalFalParams, ExperimentalFalResult
from services.inference.context import RunContext
from services.inference.free_recipes import free_recipe, source_of
from services.providers.capabilities.free_calls import FREE_CALLING, FreeCall

_SUFFIXES = {"image/jpeg": ".jpg", "image/webp": ".webp", "application/x-safetensors": ".safetensors"}

_DRAWN = ("image/", "video/")


async def run(params: ExperimentalFalParams, context: RunContext) -> ExperimentalFalResult:
    """Files are stored in the order of the answer, as the app made them but for their recipes inside; behind them the
    answer itself where a task cannot hold it.

    Raises:
        InvalidRequest: the app refuses its parameters.
        ComputeError: whatever else the provider raises; may pass.
    """
    wanted = FreeCall(params.fal_app_id, dict(params.fal_parameters or {}))
    show = context.progress.steps("running")
    answer = await context.ask(FREE_CALLING, lambda provider: provider.call_freely(wanted, show))
    paths = []
    for number, file in enumerate(answer.media, start=1):
        name = f"file-{number}{_suffix(file.content_type)}"
        recipe = free_recipe(wanted, answer, file)
        source = source_of(wanted) if file.content_type.startswith(_DRAWN) else None
        paths.append(await context.outputs.save_as_made(name, file.content, recipe, source))
        await context.progress.report("keeping", number, len(answer.media))
    output = _holdable(answer.output)
    if output is None:
        paths.append(await context.outputs.save("answer.json", orjson.dumps(answer.output)))
    return ExperimentalFalResult(
        result_url=answer.media[0].url if answer.media else None,
        fal_request_id=answer.request_id,
        result_paths=paths or None,
        output=output,
    )


def _holdable(output: dict[str, Any]) -> dict[str, Any] | None:
    """None for an answer that is too large or too deep."""
    try:
        return check_json(with_large_numbers_as_text(output))
    except ValueError:
        return None


def _suffix(content_type: str) -> str:
    return _SUFFIXES.get(content_type) or mimetypes.guess_extension(content_type) or ".bin"
