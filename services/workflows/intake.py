"""Takes the notices of steps that have ended, and waits until what follows from them is written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from compute.tasks.v1 import parents_pb2 as pb

from services.workflows.mailboxes import Mailboxes
from services.workflows.ports import StepName


class StepIntake:
    def __init__(self, mailboxes: Mailboxes[StepName]) -> None:
        self._mailboxes = mailboxes

    async def take(self, data: bytes, before: Callable[[], Awaitable[None]]) -> bool:
        """Only a hint: whatever fails is tried again by the workflow's own due time."""
        parent = pb.StepNotice.FromString(data).parent
        if parent.id:
            await self._mailboxes.put(parent.id, StepName(parent.id, parent.step, parent.attempt))
        return True
