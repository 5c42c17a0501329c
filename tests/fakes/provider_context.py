"""A provider_context whose calls are recorded in memory."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from compute.tasks.v1 import tasks_pb2 as pb

from services.common.errors import IllegalTransition
from services.messaging.ports import MessageBus
from services.providers.calling.account_limits import AccountLimiters
from services.providers.calling.provider_retries import ProviderContext, UnknownPolicy
from services.providers.directory import Providers
from services.worker.runs import AttemptKey


@dataclass
class FakeRecorder:
    """By call id, what was said last; `said` is every word. A lost attempt may begin nothing."""

    kept: dict[str, pb.ProviderCall] = field(default_factory=dict)
    said: list[tuple[str, str]] = field(default_factory=list)
    lost: bool = False
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def record(self, key: AttemptKey, call: pb.ProviderCall) -> bool:
        if self.lost and call.call_id not in self.kept:
            raise IllegalTransition("the attempt is lost", reason="ATTEMPT_LOST")
        self.kept[call.call_id] = pb.ProviderCall.FromString(call.SerializeToString())
        self.said.append((call.outcome, call.request_id))
        async with self.changed:
            self.changed.notify_all()
        return not self.lost

    async def until(self, outcome: str) -> None:
        async with asyncio.timeout(10), self.changed:
            await self.changed.wait_for(lambda: any(said == outcome for said, _ in self.said))


def provider_context_of(
    providers: Providers,
    bus: MessageBus,
    *,
    recorder: FakeRecorder | None = None,
    unknown: UnknownPolicy = "fail",
    patience: float = 5.0,
) -> ProviderContext:
    return ProviderContext(providers, AccountLimiters(bus, patience=patience), recorder or FakeRecorder(), unknown)
