"""A vendor's account that fails is left alone, and then tried by one call, not by all that waited."""

from __future__ import annotations

import asyncio

import pytest

from services.common.errors import ProviderFailed, RateLimited, Unavailable
from services.providers.calling.account_limits import PAUSED, RESTING, AccountLimiter, AccountLimiters
from services.providers.calls import AccountTerms
from tests.unit.test_inference_asking_vendors import SilentBus
from tests.waiting import turns


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    turned = Clock()
    monkeypatch.setattr("services.providers.calling.account_limits.time", turned)
    return turned


TERMS = AccountTerms("acme", at_once=1, failures=2, rest=30.0)


async def fail(limiter: AccountLimiter, error: Exception | None = None) -> None:
    with pytest.raises((ProviderFailed, RateLimited)):
        async with limiter.entered(patience=1.0, known_job=False):
            raise error or ProviderFailed("broken")


async def entering(limiter: AccountLimiter, until: asyncio.Event) -> None:
    async with limiter.entered(patience=1.0, known_job=False):
        await until.wait()


async def test_whoever_waited_for_a_place_does_not_follow_a_probe_into_it(clock: Clock) -> None:
    """They passed the breaker while it was closed; by the time they have a place it is open, or tried by one."""
    limiter, leave = AccountLimiter(TERMS), asyncio.Event()
    await fail(limiter)
    broken, gate = asyncio.Event(), asyncio.Event()

    async def failing() -> None:
        async with limiter.entered(patience=1.0, known_job=False):
            broken.set()
            await gate.wait()
            raise ProviderFailed("broken")

    first = asyncio.create_task(failing())
    await broken.wait()
    waiting = [asyncio.create_task(entering(limiter, leave)) for _ in range(3)]
    await turns(5)
    gate.set()
    leave.set()
    done = await asyncio.gather(first, *waiting, return_exceptions=True)
    assert isinstance(done[0], ProviderFailed)
    assert [getattr(error, "reason", "") for error in done[1:]] == [RESTING] * 3
    assert limiter.resting


async def test_it_rests_as_long_as_its_terms_say_and_then_one_tries(clock: Clock) -> None:
    limiter = AccountLimiter(TERMS)
    await fail(limiter)
    assert not limiter.resting
    await fail(limiter)
    clock.now += 29.75
    assert limiter.resting
    with pytest.raises(Unavailable) as caught:
        async with limiter.entered(patience=1.0, known_job=False):
            pass
    assert (caught.value.reason, caught.value.retry_after) == (RESTING, 1.0)
    async with limiter.entered(patience=1.0, known_job=True):
        pass  # a job that is there is asked for in any case
    clock.now += 0.25
    assert not limiter.resting


async def test_limits_of_a_vendor_speak_not_against_it(clock: Clock) -> None:
    limiter = AccountLimiter(TERMS)
    await fail(limiter)
    await fail(limiter, RateLimited("slower", retry_after=1.0))
    assert not limiter.resting
    await fail(limiter)
    assert limiter.resting


async def test_a_pause_for_longer_than_one_waits_is_told(clock: Clock) -> None:
    limiter = AccountLimiter(TERMS)
    limiter.pause(20.0)
    limiter.pause(5.0)
    with pytest.raises(RateLimited) as caught:
        async with limiter.entered(patience=19.0, known_job=False):
            pass
    assert (caught.value.reason, caught.value.retry_after) == (PAUSED, 20.0)


async def test_those_that_rest_are_counted(clock: Clock) -> None:
    limiters = AccountLimiters(SilentBus(), patience=1.0)
    assert limiters.resting == 0
    for name in ("a", "b", "c"):
        limiter = limiters.of(AccountTerms(name, failures=1, rest=30.0))
        if name != "c":
            await fail(limiter)
    assert limiters.resting == 2
    clock.now += 30
    assert limiters.resting == 0
