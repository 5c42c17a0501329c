"""Gates of outside accounts: rests, pauses, and what workers tell each other over the bus."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import pytest

from services.common.errors import ComputeError, InvalidRequest, ProviderFailed, RateLimited, Unavailable
from services.providers.calling.account_limits import PAUSED, RESTING, AccountLimiter, AccountLimiters
from services.providers.calls import AccountTerms
from tests.nats_server import services_bus
from tests.waiting import time_passes, until

TERMS = AccountTerms("acme.0123456789ab", failures=2, rest=0.1)


async def enter(
    limiter: AccountLimiter, error: ComputeError | None = None, *, patience: float = 5.0, known: bool = False
) -> None:
    async with limiter.entered(patience=patience, known_job=known):
        if error is not None:
            raise error


async def fail(limiter: AccountLimiter, times: int) -> None:
    for _ in range(times):
        with suppress(ProviderFailed):
            await enter(limiter, ProviderFailed("broke"))


async def test_an_account_that_fails_too_often_rests() -> None:
    limiter = AccountLimiter(TERMS)
    await fail(limiter, 2)
    with pytest.raises(Unavailable) as refused:
        await enter(limiter)
    assert refused.value.reason == RESTING
    await enter(limiter, known=True)


async def test_failures_that_are_not_the_vendors_do_not_count() -> None:
    limiter = AccountLimiter(TERMS)
    for error in (InvalidRequest("no"), RateLimited("no"), InvalidRequest("no")):
        with suppress(type(error)):
            await enter(limiter, error)
    await fail(limiter, 1)
    with suppress(InvalidRequest):
        await enter(limiter, InvalidRequest("the vendor answered"))
    await fail(limiter, 1)
    await enter(limiter)


async def test_after_its_rest_one_call_goes_ahead_alone() -> None:
    limiter = AccountLimiter(TERMS)
    await fail(limiter, 2)
    await time_passes(TERMS.rest, because="the account rests")
    async with limiter.entered(patience=5.0, known_job=False):
        with pytest.raises(Unavailable):
            await enter(limiter)
    await enter(limiter)


async def test_a_probe_that_fails_means_another_rest() -> None:
    limiter = AccountLimiter(TERMS)
    await fail(limiter, 2)
    await time_passes(TERMS.rest, because="the account rests")
    await fail(limiter, 1)
    with pytest.raises(Unavailable):
        await enter(limiter)


async def test_a_probe_that_is_cancelled_lets_the_next_one_go_ahead() -> None:
    limiter = AccountLimiter(TERMS)
    await fail(limiter, 2)
    await time_passes(TERMS.rest, because="the account rests")
    with suppress(asyncio.CancelledError):
        async with limiter.entered(patience=5.0, known_job=False):
            raise asyncio.CancelledError
    await enter(limiter)


async def test_a_pause_is_sat_out_or_refused() -> None:
    limiter = AccountLimiter(TERMS)
    limiter.pause(0.05)
    began = time.monotonic()
    await enter(limiter)
    assert time.monotonic() - began >= 0.05
    limiter.pause(60.0)
    with pytest.raises(RateLimited) as refused:
        await enter(limiter, patience=1.0)
    assert refused.value.reason == PAUSED
    assert refused.value.retry_after is not None and refused.value.retry_after > 50
    await enter(limiter, known=True)


async def refuses(limiter: AccountLimiter) -> bool:
    try:
        await enter(limiter, patience=0.5)
    except RateLimited:
        return True
    return False


async def test_a_pause_is_heeded_by_every_worker(nats_url: str) -> None:
    async with services_bus(nats_url, "one") as one, services_bus(nats_url, "other") as other:
        here, there = AccountLimiters(one, patience=0.5), AccountLimiters(other, patience=0.5)
        async with here.listening(one), there.listening(other):
            await other.flush()
            known, new = there.of(TERMS), AccountTerms("acme.fedcba987654")
            for account in (TERMS.account, new.account):
                await here.pause(account, 30.0)
            await one.flush()
            await other.flush()
            await until(lambda: refuses(here.of(TERMS)))
            await until(lambda: refuses(known))
            await until(lambda: refuses(there.of(new)))
            await enter(there.of(AccountTerms("acme.another")))


@pytest.mark.parametrize("nonsense", [b"", b"{}", b"[]", b'{"seconds": "x"}', b"\xff"])
async def test_nonsense_on_the_bus_pauses_nobody(nats_url: str, nonsense: bytes) -> None:
    async with services_bus(nats_url, "one") as one:
        limiters = AccountLimiters(one, patience=0.5)
        async with limiters.listening(one):
            await one.publish("limits.v1.acme.0123456789ab", nonsense)
            await one.flush()
            await one.flush()
            await enter(limiters.of(TERMS))
