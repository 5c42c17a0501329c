"""Probes the path of a task without a model."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.catalog.base import TaskKind, TaskParams, TaskResult


class DiagnosticParams(TaskParams):
    """Takes `duration_ms`, then answers `payload`, or fails with the reason `fail_with` `fail_attempts` times."""

    duration_ms: Annotated[int, Field(ge=0, le=600_000)] | None = None
    fail_with: Annotated[str, Field(max_length=64)] | None = None
    payload: Annotated[str, Field(max_length=65_536)] | None = None
    fail_attempts: Annotated[int, Field(ge=0, le=100)] | None = None


class DiagnosticResult(TaskResult):
    """What was sent."""

    payload: str | None = None


TYPE = TaskKind(name="DIAGNOSTIC", params=DiagnosticParams, result=DiagnosticResult, internal=True)
