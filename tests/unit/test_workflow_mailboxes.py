"""Mailboxes of workflows: those that fail again and again hold up no others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from services.common.errors import Internal
from services.workflows.mailboxes import Mailboxes
from tests.waiting import turns


async def test_workflows_that_nobody_can_read_keep_no_other_from_being_looked_at() -> None:
    tried: Counter[str] = Counter()

    async def work(workflow_id: str, news: Mapping[str, Any] | None) -> None:
        assert news is None
        tried[workflow_id] += 1
        if workflow_id.startswith("unreadable"):
            raise Internal("of a later version", reason="WORKFLOW_UNREADABLE")
        overdue.remove(workflow_id)

    overdue = ["unreadable1", "unreadable2", "lost"]

    async def due(most: int) -> list[str]:
        """The longest overdue first."""
        return overdue[:most]

    mailboxes: Mailboxes[str, Any] = Mailboxes(work)
    for _ in range(3):
        await mailboxes.sweep(due, 2)
        await turns(5)
    await mailboxes.drain(1.0)
    assert tried == {"unreadable1": 1, "unreadable2": 1, "lost": 1}, "each at its own time"
