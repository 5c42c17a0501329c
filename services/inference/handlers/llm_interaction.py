"""Asks a language model, with pictures if there are any."""

from __future__ import annotations

import asyncio

import numpy as np
from PIL import Image

from services.catalog.tasks.llm_interaction import LlmInteractionParams, LlmInteractionResult
from services.inference.context import RunContext
from services.providers.capabilities.conversing import CONVERSING, Question
from services.providers.ports import Pixels

# Characters of answer and thoughts kept in the task itself, whose events have to fit onto the bus.
_MOST_INLINE, _MOST_THOUGHTS = 100_000, 20_000
# No vendor looks at more of a picture, and sixteen whole ones would be gigabytes.
_LONGEST_SIDE = 2048


async def run(params: LlmInteractionParams, context: RunContext) -> LlmInteractionResult:
    """The answer, and the model's thoughts apart; what is too long for a task is stored as a file besides.

    Raises:
        InvalidRequest: a picture cannot be read, or the vendor would not take the request.
        ContentRefused: the vendor's policy or the model itself forbids it.
        ComputeError: no vendor is configured, or what became of asking it.
    """
    named = enumerate(params.input_images or ())
    images = [await _seen(reference, f"input_images[{at}]", context) for at, reference in named]
    question = Question(params.prompt, params.system_prompt, tuple(images))
    await context.progress.report("asking", 1, 2)
    reply = await context.ask(CONVERSING, lambda model: model.converse(question))
    return LlmInteractionResult(
        result_text=reply.text[:_MOST_INLINE],
        result_text_path=await _kept("answer.txt", reply.text, _MOST_INLINE, context),
        reasoning_text=reply.thoughts[:_MOST_THOUGHTS] or None,
        reasoning_text_path=await _kept("reasoning.txt", reply.thoughts, _MOST_THOUGHTS, context),
        input_tokens=reply.input_tokens,
        output_tokens=reply.output_tokens,
        ai_provider=reply.vendor,
        model_name=reply.model,
        finish_reason=reply.finish,
        notes=context.notes,
    )


async def _kept(name: str, text: str, most: int, context: RunContext) -> str | None:
    """The path of a text that is longer than a task may hold."""
    return await context.outputs.save(name, text.encode()) if len(text) > most else None


async def _seen(reference: str, called: str, context: RunContext) -> Pixels:
    picture = await context.load_laid_on_white(reference, called=called)
    return await asyncio.to_thread(_shrunk, picture.pixels)


def _shrunk(pixels: Pixels) -> Pixels:
    if max(pixels.shape) <= _LONGEST_SIDE:
        return pixels
    picture = Image.fromarray(pixels)
    picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(picture)
