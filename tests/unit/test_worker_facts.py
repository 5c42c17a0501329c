"""What a worker says of itself."""

from __future__ import annotations

from services.tasks.worker_registry import NO_FACTS, RegisteredFacts


def test_tasks_are_told_by_the_minute_since_its_start() -> None:
    assert RegisteredFacts(tasks_completed=30, uptime=120.0).tasks_per_minute == 15.0
    assert NO_FACTS.tasks_per_minute == 0.0
