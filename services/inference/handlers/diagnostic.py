"""Probes the path of a task: waits, answers what it was sent, or fails as told."""

from __future__ import annotations

import asyncio

from services.catalog.tasks.diagnostic import DiagnosticParams, DiagnosticResult
from services.common.errors import InvalidRequest, Unavailable
from services.inference.context import RunContext


async def run(params: DiagnosticParams, context: RunContext) -> DiagnosticResult:
    """`fail_with` fails for good; with `fail_attempts` only the first so many runs fail, and may be tried again.

    Raises:
        InvalidRequest, Unavailable: as told.
    """
    if params.duration_ms:
        await asyncio.sleep(params.duration_ms / 1000)
    if params.fail_attempts is not None:
        if context.attempt <= params.fail_attempts:
            raise Unavailable("failed as told", reason=params.fail_with or "DIAGNOSTIC_FAILURE")
    elif params.fail_with:
        raise InvalidRequest("failed as told", reason=params.fail_with)
    return DiagnosticResult(payload=params.payload)
