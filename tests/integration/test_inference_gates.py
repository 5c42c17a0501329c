"""What workers tell each other of outside accounts, over a real bus; the rest is in unit/test_account_limits.py."""

from __future__ import annotations

import pytest

from services.common.errors import RateLimited
from services.providers.calling.account_limits import AccountLimiter, AccountLimiters
from services.providers.calls import AccountTerms
from tests.nats_server import services_bus
from tests.waiting import until

TERMS = AccountTerms("acme.0123456789ab", failures=2, rest=0.1)


async def enter(limiter: AccountLimiter) -> None:
    async with limiter.entered(patience=0.5, known_job=False):
        pass


async def refuses(limiter: AccountLimiter) -> bool:
    try:
        await enter(limiter)
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
