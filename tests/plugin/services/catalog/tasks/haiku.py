"""Three lines about something."""

from __future__ import annotations

from pydantic import Field

from services.catalog.base import TaskParams, TaskResult, TaskKind


class HaikuParams(TaskParams):
    about: str = Field(min_length=1, max_length=200, description="What it is about")


class HaikuResult(TaskResult):
    result_text: str = Field(description="The three lines")


TYPE = TaskKind(name="HAIKU", params=HaikuParams, result=HaikuResult)
