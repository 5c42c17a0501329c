"""Has three lines written."""

from __future__ import annotations

from services.catalog.tasks.haiku import HaikuParams, HaikuResult
from services.inference.context import RunContext
from services.providers.capabilities.conversing import CONVERSING, Question


async def run(params: HaikuParams, context: RunContext) -> HaikuResult:
    """Raises what the provider raises."""
    question = Question(f"a haiku about {params.about}")
    reply = await context.ask(CONVERSING, lambda provider: provider.converse(question))
    return HaikuResult(result_text=reply.text)
