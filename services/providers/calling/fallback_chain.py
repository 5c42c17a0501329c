"""How a run gets what it needs: from its task's provider, else from the fallback."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from compute.tasks.v1 import tasks_pb2 as pb

from services.common import errors
from services.providers.calling.call_ledger import CANCELLED, FAILED, SUCCEEDED, CallLedger, CallSlot
from services.providers.calling.provider_retries import (
    PASSING,
    CapabilityUse,
    ProviderChoice,
    ProviderContext,
    ProviderRetries,
)
from services.providers.calls import UnrecordedCall
from services.providers.ports import Capability
from services.rpc.proto import get_object
from services.telemetry import tracing
from services.telemetry.tracing import SpanKind
from services.worker.runs import Run

log = structlog.get_logger()
CapabilityT = TypeVar("CapabilityT")
AnswerT = TypeVar("AnswerT")
# Never for the caller's own fault, a refused content, or while a charge is uncertain.
_FALL_BACK = (*PASSING, errors.ProviderRefused, errors.Internal)


def choices_of(spec: pb.TaskSpec, default: str) -> list[ProviderChoice]:
    """The task's provider, then its fallback where it has one."""
    config = get_object(spec, "provider_config", {})
    active = frozenset(spec.active_provider_capabilities.values)
    known = active if spec.HasField("active_provider_capabilities") else None
    found = [ProviderChoice(spec.provider_type or config.get("provider_type") or default, config, known)]
    if spec.fallback_provider_type:
        if spec.HasField("fallback_provider_capabilities"):
            known = frozenset(spec.fallback_provider_capabilities.values)
        config = get_object(spec, "fallback_provider_config", {})
        found.append(ProviderChoice(spec.fallback_provider_type, config, known, fallback=True))
    return found


class FallbackChain:
    """The requests of one run, numbered in order so that a later attempt finds their calls again."""

    def __init__(self, run: Run, provider_context: ProviderContext, default_provider: str) -> None:
        self.ledger = CallLedger(run, provider_context.recorder)
        self._run = run
        self._provider_context = provider_context
        self._default = default_provider
        self._count = 0

    async def ask(
        self, capability: Capability[CapabilityT], use: Callable[[CapabilityT], Awaitable[AnswerT]]
    ) -> AnswerT:
        """What `use` makes of the task's provider, or of the fallback. It may be run several times.

        Raises:
            ComputeError: what the last provider that was asked said, and why the one before it did not serve.
        """
        number, self._count = self._count, self._count + 1
        choices = choices_of(self._run.task.spec, self._default)
        slots = [CallSlot(number, choice.name, choice.fallback) for choice in choices]
        wanted, first = CapabilityUse(capability, use), ""
        if len(slots) > 1 and not self.ledger.is_open(slots[1]):
            try:
                return await self._ask(choices[0], slots[0], wanted)
            except _FALL_BACK as error:
                if self.ledger.goes_on(slots[0]):
                    raise  # a later attempt asks for the job
                log.warning(
                    "provider failed, asking the fallback", provider=slots[0].provider, error=errors.name_of(error)
                )
                first = error.message
        try:
            # What an earlier attempt has open with the fallback is asked for before anybody is asked anew.
            return await self._ask(choices[-1], slots[-1], wanted)
        except errors.ComputeError as error:
            if first:
                error.message += f"; {slots[0].provider}, asked first: {first}"
            raise

    async def _ask(self, choice: ProviderChoice, slot: CallSlot, use: CapabilityUse[CapabilityT, AnswerT]) -> AnswerT:
        terms = self._provider_context.providers.terms(choice.name, choice.config)
        with tracing.span(f"provider {choice.name}", SpanKind.CLIENT):
            if terms is None:
                return await self._ask_own(choice, slot, use)
            return await ProviderRetries(self._run, self._provider_context, self.ledger, choice, slot, terms).run(use)

    async def _ask_own(
        self, choice: ProviderChoice, slot: CallSlot, use: CapabilityUse[CapabilityT, AnswerT]
    ) -> AnswerT:
        """Nothing is charged and nothing has to be stored: the task's own attempts are the tries."""
        began, outcome = time.monotonic(), FAILED
        failure: BaseException | None = None
        try:
            call = UnrecordedCall(choice.capabilities)
            answer = await use.of(
                self._provider_context.providers.find(choice.name, use.capability, choice.config, call)
            )
            outcome = SUCCEEDED
            return answer
        except asyncio.CancelledError:
            outcome = CANCELLED
            raise
        except Exception as error:
            failure = error
            raise
        finally:
            self.ledger.note_own(slot, time.monotonic() - began, outcome, failure)
