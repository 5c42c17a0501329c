"""Takes the notices of steps that have ended, and waits until what follows from them is written."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from compute.tasks.v1 import parents_pb2 as pb

from services.workflows.mailboxes import Mailboxes
from services.workflows.ports import StepName


class StepIntake:
    def __init__(self, mailboxes: Mailboxes[StepName]) -> None:
        self._mailboxes = mailboxes

    async def take(self, data: bytes, before: Callable[[], Awaitable[None]]) -> bool:
        """Only a hint: whatever fails is tried again by the workflow's own due time."""
        turns = self.hear(data)
        if turns is not None:
            await turns
        return True

    def hear(self, data: bytes) -> asyncio.Task[None] | None:
        """The turns that see to a notice, or to the hint ahead of it."""
        parent = pb.StepNotice.FromString(data).parent
        if not parent.id:
            return None
        return self._mailboxes.put(parent.id, StepName(parent.id, parent.step, parent.attempt))
