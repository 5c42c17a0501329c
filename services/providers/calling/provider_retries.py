"""Calls an outside provider: open calls first, then tries within a budget, never a silent second charge."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import structlog

from services.common import errors
from services.common.errors import ComputeError
from services.providers.calling.account_limits import PAUSED, RESTING, AccountLimiters
from services.providers.calling.call_ledger import (
    CANCELLED,
    FAILED,
    SUCCEEDED,
    UNKNOWN,
    CallLedger,
    CallRecorder,
    CallSlot,
    RecordedProviderCall,
)
from services.providers.calls import JOB_UNKNOWN, AccountTerms, SupportsCancel, SupportsJobLookup
from services.providers.directory import Providers
from services.providers.ports import Capability
from services.worker.runs import Run, StopReason

log = structlog.get_logger()
CapabilityT = TypeVar("CapabilityT")
AnswerT = TypeVar("AnswerT")
UnknownPolicy = Literal["fail", "retry"]
# Another try may go better.
PASSING = (errors.Unavailable, errors.Overloaded, errors.DeadlineExceeded, errors.ProviderFailed)
# The vendor did not speak of the job itself: it still runs there.
_JOB_GOES_ON = (errors.Unavailable, errors.Overloaded, errors.DeadlineExceeded)
_NOT_NOW = (PAUSED, RESTING)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 20.0
_CANCEL_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class ProviderContext:
    """What the runs of a worker share to call providers. `unknown`: what happens where a charge is uncertain."""

    providers: Providers
    limiters: AccountLimiters
    recorder: CallRecorder
    unknown: UnknownPolicy = "fail"


@dataclass(frozen=True, slots=True)
class ProviderChoice:
    """One provider a task may go to. `capabilities` are those switched on; None where nothing is said."""

    name: str
    config: Mapping[str, Any]
    capabilities: frozenset[str] | None = None
    fallback: bool = False


@dataclass(frozen=True, slots=True)
class CapabilityUse(Generic[CapabilityT, AnswerT]):
    """What is asked of whatever has that capability."""

    capability: Capability[CapabilityT]
    of: Callable[[CapabilityT], Awaitable[AnswerT]]


class ProviderRetries:
    """Asks an outside provider until it answers, or nothing more may be tried."""

    def __init__(
        self,
        run: Run,
        provider_context: ProviderContext,
        ledger: CallLedger,
        choice: ProviderChoice,
        slot: CallSlot,
        terms: AccountTerms,
    ) -> None:
        self._run = run
        self._provider_context = provider_context
        self._ledger = ledger
        self._choice = choice
        self._slot = slot
        self._terms = terms
        self._limiter = provider_context.limiters.of(terms)
        self._call: RecordedProviderCall | None = None
        self._made = 0
        self._collected = False

    async def run(self, use: CapabilityUse[CapabilityT, AnswerT]) -> AnswerT:
        """What is open is asked for first, by its id or by looking for it; only then is anything sent anew."""
        self._call = self._ledger.reopen(self._slot)
        try:
            return await self._until_answered(use)
        except asyncio.CancelledError:
            if self._run.stopped is StopReason.CANCELLED and self._call is not None:
                await self._stopped(self._call, use)
            raise

    async def _until_answered(self, use: CapabilityUse[CapabilityT, AnswerT]) -> AnswerT:
        if self._call is not None and self._call.known_job is None:
            self._call = await self._recovered(self._call, use)
        error: ComputeError | None = None
        while self._made < self._terms.tries:
            if self._call is None:
                self._check_budget(error)
                self._call = self._ledger.begin(self._slot)
            self._made += 1
            try:
                return await self._once(self._call, use)
            except PASSING as failure:
                if failure.reason in _NOT_NOW:
                    raise
                error = failure
                self._call = await self._after(self._call, failure, use)
            await self._rest(error)
        raise _used_up(error or _budget_spent(self._slot))

    async def _once(self, call: RecordedProviderCall, use: CapabilityUse[CapabilityT, AnswerT]) -> AnswerT:
        """One try, and what became of it in the call's record."""
        call.capabilities = self._choice.capabilities
        try:
            answer = await self._within_terms(call, use)
        except errors.OutcomeUnknown as error:
            return await self._found_again(call, use, error)
        except _JOB_GOES_ON as error:
            if call.known_job is None:
                await self._failed(call, error)
            raise
        except ComputeError as error:
            if error.reason == JOB_UNKNOWN:
                return await self._found_again(call, use, errors.OutcomeUnknown(error.message, reason=JOB_UNKNOWN))
            if error.reason != "ATTEMPT_LOST":
                await call.settle_now(FAILED, error)
            raise
        call.settle(SUCCEEDED)
        return answer

    async def _failed(self, call: RecordedProviderCall, error: ComputeError) -> None:
        """Raises as `_unknown` does where the answer had come, and was paid for."""
        if call.answered:
            await self._unknown(call, errors.OutcomeUnknown(error.message, reason="PROVIDER_ANSWER_LOST"))
        else:
            await call.settle_now(FAILED, error)

    async def _within_terms(self, call: RecordedProviderCall, use: CapabilityUse[CapabilityT, AnswerT]) -> AnswerT:
        """Within the account's limits and the deadline of one try."""
        able = self._able(call, use)
        known = call.known_job is not None
        async with self._limiter.entered(patience=self._provider_context.limiters.patience, known_job=known):
            try:
                async with asyncio.timeout(self._terms.seconds) as limit:
                    return await use.of(able)
            except TimeoutError as error:
                if not limit.expired():
                    raise
                if call.lost is not None:
                    raise errors.OutcomeUnknown(f"{self._slot.provider} did not answer in time") from error
                message = f"{self._slot.provider} was not done within {self._terms.seconds:g} s"
                raise errors.DeadlineExceeded(message, reason="PROVIDER_DEADLINE") from error

    def _able(self, call: RecordedProviderCall, use: CapabilityUse[CapabilityT, AnswerT]) -> CapabilityT:
        return self._provider_context.providers.find(self._slot.provider, use.capability, self._choice.config, call)

    async def _after(
        self, call: RecordedProviderCall, error: ComputeError, use: CapabilityUse[CapabilityT, AnswerT]
    ) -> RecordedProviderCall | None:
        """The call to go on with after a failure that may pass: the same while its job may still be had."""
        if isinstance(error, errors.RateLimited):
            await self._provider_context.limiters.pause(self._terms.account, error.retry_after)
        if call.known_job is None or not isinstance(error, _JOB_GOES_ON):
            return None
        if not isinstance(error, errors.DeadlineExceeded) and self._made < self._terms.tries:
            return call
        return await self._withdrawn(call, error, use)

    async def _withdrawn(
        self, call: RecordedProviderCall, why: ComputeError, use: CapabilityUse[CapabilityT, AnswerT]
    ) -> RecordedProviderCall | None:
        """Has the vendor stop what nobody waits for any longer; only once that is sure may anything else be sent.

        A job that was done before it could be stopped comes back: its answer is asked for one more time.
        """
        stopped = await self._cancelled(call, use)
        if stopped:
            await call.settle_now(CANCELLED, why)
            return None
        if stopped is None or self._collected:
            await self._unknown(call, errors.OutcomeUnknown(f"{why.message}, and could not be stopped"))
            return None
        self._collected, self._made = True, min(self._made, self._terms.tries - 1)
        return call

    async def _cancelled(self, call: RecordedProviderCall, use: CapabilityUse[CapabilityT, AnswerT]) -> bool | None:
        """Whether the vendor says that the job was stopped; False: it was done before; None: neither is sure."""
        able, job = self._able(call, use), call.known_job
        if job is None or not isinstance(able, SupportsCancel):
            return None
        try:
            async with asyncio.timeout(_CANCEL_SECONDS):
                return await able.cancel(job)
        except (ComputeError, TimeoutError) as error:
            log.warning(
                "job not cancelled", provider=self._slot.provider, request_id=job.id, error=errors.name_of(error)
            )
            return None

    async def _recovered(
        self, call: RecordedProviderCall, use: CapabilityUse[CapabilityT, AnswerT]
    ) -> RecordedProviderCall | None:
        """A call of a run that died, under its job's id; None where another one may be made."""
        if call.lost is None:
            message = f"{self._slot.provider} answered an earlier attempt and was paid; that answer is lost"
            await self._unknown(call, errors.OutcomeUnknown(message, reason="PROVIDER_ANSWER_LOST"), settle=False)
            return None
        if await self._looked_up(call, use):
            return call
        message = f"{self._slot.provider} may have been sent this by an attempt that died, and may have charged for it"
        await self._unknown(call, errors.OutcomeUnknown(message))
        return None

    async def _looked_up(self, call: RecordedProviderCall, use: CapabilityUse[CapabilityT, AnswerT]) -> bool:
        able, lost = self._able(call, use), call.lost
        if lost is None or not isinstance(able, SupportsJobLookup):
            return False
        try:
            async with asyncio.timeout(self._terms.seconds):
                job = await able.find(lost)
        except (ComputeError, TimeoutError) as error:
            log.warning("job not looked up", provider=self._slot.provider, error=errors.name_of(error))
            return False
        if job is not None:
            await call.adopt(job)
        return job is not None

    async def _found_again(
        self, call: RecordedProviderCall, use: CapabilityUse[CapabilityT, AnswerT], error: errors.OutcomeUnknown
    ) -> AnswerT:
        """After an answer that was lost: the job may be found and is then asked for. Raises as `_unknown` does."""
        if call.known_job is None and await self._looked_up(call, use):
            return await self._once(call, use)
        await self._unknown(call, error)
        raise errors.ProviderFailed(error.message, reason=error.reason)

    async def _unknown(self, call: RecordedProviderCall, error: errors.OutcomeUnknown, *, settle: bool = True) -> None:
        """Says so in the record. Raises OutcomeUnknown unless the deployment rather pays twice."""
        message = f"{error.message}: it may have been charged"
        log.warning("outcome unknown", provider=self._slot.provider, call_id=call.token, error=errors.name_of(error))
        if settle:
            await call.settle_now(UNKNOWN, errors.OutcomeUnknown(message, reason=error.reason))
        if self._provider_context.unknown == "fail" and not call.entry.before_replay:
            raise errors.OutcomeUnknown(message, reason=error.reason) from error

    async def _stopped(self, call: RecordedProviderCall, use: CapabilityUse[CapabilityT, AnswerT]) -> None:
        """The task was cancelled: so is its job, as far as that goes."""
        message = "the task was cancelled, and its job may have gone on: it may have been charged"
        if call.known_job is None and call.lost is None:
            call.settle(CANCELLED)
            return
        stopped = await self._cancelled(call, use)
        if stopped is None:
            await call.settle_now(UNKNOWN, errors.OutcomeUnknown(message))
        else:
            await call.settle_now(CANCELLED if stopped else SUCCEEDED)

    def _check_budget(self, error: ComputeError | None) -> None:
        """Counted over all attempts, so that a crash gives no more tries. Raises what failed last, or says so."""
        if self._ledger.tries(self._slot) >= self._terms.tries:
            raise _used_up(error or _budget_spent(self._slot))

    async def _rest(self, error: ComputeError) -> None:
        """Before the next try. A rate limit is waited for in the account's limiter, which lets a known job pass.

        Raises the error where the vendor demands more than the run may wait and another attempt is left: that one goes
        on, no sooner, and meanwhile the place here serves others.
        """
        if self._made >= self._terms.tries or (isinstance(error, errors.RateLimited) and self._call is None):
            return
        demanded = error.retry_after or 0.0
        if demanded > self._provider_context.limiters.patience and not self._run.last_attempt:
            if self._call is None:
                self._check_budget(error)
            raise error
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (self._made - 1)) * random.uniform(0.5, 1.5)
        await asyncio.sleep(max(pause, demanded))


def _budget_spent(slot: CallSlot) -> ComputeError:
    return errors.ProviderFailed(f"every try of {slot.provider} is used up", reason="PROVIDER_TRIES_USED_UP")


def _used_up(error: ComputeError) -> ComputeError:
    """A rate limit passes: a later attempt of the task may try again."""
    error.exhausted = not isinstance(error, errors.RateLimited)
    return error
