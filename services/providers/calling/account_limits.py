"""How many calls an outside account gets at a time, and when it gets none.

One limiter for each account, shared by the runs of this worker. Pauses that a vendor demands are told to all workers.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats.errors
import orjson
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.common.errors import (
    ComputeError,
    DeadlineExceeded,
    OutcomeUnknown,
    ProviderFailed,
    RateLimited,
    Unavailable,
    name_of,
)
from services.messaging.ports import MessageBus
from services.messaging.subjects.workers import limits_subject
from services.providers.calls import AccountTerms

log = structlog.get_logger()
RESTING, PAUSED = "PROVIDER_RESTING", "PROVIDER_PAUSED"
_DEFAULT_PAUSE = 2.0
_LONGEST_PAUSE = 3600.0
# What speaks against the vendor; whatever else it says, it is there.
_FAILURES = (ProviderFailed, Unavailable, DeadlineExceeded, OutcomeUnknown)


class AccountLimiter:
    """One account: a circuit breaker, a number of slots, a pause. Times are monotonic seconds."""

    def __init__(self, terms: AccountTerms) -> None:
        self.account = terms.account
        self._threshold = terms.failures
        self._rest = terms.rest
        self._slots = asyncio.Semaphore(terms.at_once)
        self._failures = 0
        self._breaker_open_until = 0.0
        self._probing = False
        self._paused_until = 0.0

    @property
    def resting(self) -> bool:
        """Its breaker is open."""
        return self._breaker_open_until > time.monotonic()

    def pause(self, seconds: float) -> None:
        self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    @asynccontextmanager
    async def entered(self, *, patience: float, known_job: bool) -> AsyncIterator[None]:
        """Waits for a place and the end of a pause. A known job is asked for in any case.

        Raises:
            Unavailable: RESTING: it failed too often of late.
            RateLimited: PAUSED for longer than `patience` seconds.
        """
        if not known_job:
            self._check_breaker()
            await self._wait_for_pause(patience)
        async with self._slots:
            if not known_job:
                await self._wait_for_pause(patience)
            probe = not known_job and self._begin()
            try:
                yield
                self._went_well()
            except ComputeError as error:
                self._heard(error)
                raise
            finally:
                if probe:
                    self._probing = False

    def _check_breaker(self) -> None:
        left = self._breaker_open_until - time.monotonic()
        if left > 0 or self._probing:
            message = f"{self.account} failed too often and is left alone for a while"
            raise Unavailable(message, reason=RESTING, retry_after=max(1.0, left))

    def _begin(self) -> bool:
        """After a rest one call goes ahead alone; true for that one."""
        self._check_breaker()
        self._probing = self._failures >= self._threshold
        return self._probing

    def _went_well(self) -> None:
        self._failures = 0

    def _heard(self, error: ComputeError) -> None:
        if isinstance(error, _FAILURES):
            self._failures += 1
            if self._failures >= self._threshold:
                self._breaker_open_until = time.monotonic() + self._rest
                log.warning("provider left alone", account=self.account, seconds=self._rest, error=name_of(error))
        elif not isinstance(error, RateLimited):
            self._went_well()

    async def _wait_for_pause(self, patience: float) -> None:
        while (left := self._paused_until - time.monotonic()) > 0:
            if left > patience:
                message = f"{self.account} allows no more for {math.ceil(left)} s"
                raise RateLimited(message, reason=PAUSED, retry_after=left)
            await asyncio.sleep(left * random.uniform(1.0, 1.1))


class AccountLimiters:
    """By account. `patience`: how long a run waits for a paused one, in seconds."""

    def __init__(self, bus: MessageBus, *, patience: float) -> None:
        self.patience = patience
        self._bus = bus
        self._limiters: dict[str, AccountLimiter] = {}
        self._pauses: dict[str, float] = {}

    @property
    def resting(self) -> int:
        """How many are left alone because they failed too often."""
        return sum(limiter.resting for limiter in self._limiters.values())

    def of(self, terms: AccountTerms) -> AccountLimiter:
        limiter = self._limiters.get(terms.account)
        if limiter is None:
            limiter = self._limiters[terms.account] = AccountLimiter(terms)
            limiter.pause(self._pauses.pop(terms.account, 0.0) - time.monotonic())
        return limiter

    async def pause(self, account: str, seconds: float | None) -> None:
        """Here and in every other worker."""
        seconds = min(_LONGEST_PAUSE, _DEFAULT_PAUSE if seconds is None else seconds)
        self._apply(account, seconds)
        try:
            await self._bus.publish(limits_subject(account), orjson.dumps({"seconds": seconds}))
        except nats.errors.Error as error:
            log.warning("pause not told", account=account, error=repr(error))

    @asynccontextmanager
    async def listening(self, bus: Client) -> AsyncIterator[None]:
        """Heeds what other workers say for as long as the block lasts."""
        subscription = await bus.subscribe(limits_subject(">"), cb=self._on_pause)
        try:
            yield
        finally:
            if bus.is_connected:
                await subscription.unsubscribe()

    async def _on_pause(self, message: Msg) -> None:
        try:
            seconds = float(orjson.loads(message.data)["seconds"])
        except (ValueError, TypeError, KeyError):
            log.warning("pause not understood", subject=message.subject)
            return
        self._apply(message.subject.removeprefix(limits_subject("")), min(_LONGEST_PAUSE, seconds))

    def _apply(self, account: str, seconds: float) -> None:
        limiter = self._limiters.get(account)
        if limiter is not None:
            limiter.pause(seconds)
        else:
            self._pauses[account] = max(self._pauses.get(account, 0.0), time.monotonic() + seconds)
