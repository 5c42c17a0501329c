"""Gates of outside accounts: rests, pauses, and what workers tell each other over the bus."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import pytest

from services.common.errors import ComputeError, InvalidRequest, ProviderFailed, RateLimited, Unavailable
from services.providers.calling.gates import PAUSED, RESTING, Gate, Gates
from services.providers.calls import Terms
from tests.integration.tasks_host import until
from tests.nats_server import services_bus

TERMS = Terms("acme.0123456789ab", failures=2, rest=0.1)


async def enter(gate: Gate, error: ComputeError | None = None, *, patience: float = 5.0, known: bool = False) -> None:
    async with gate.entered(patience=patience, known_job=known):
        if error is not None:
            raise error


async def fail(gate: Gate, times: int) -> None:
    for _ in range(times):
        with suppress(ProviderFailed):
            await enter(gate, ProviderFailed("broke"))


async def test_an_account_that_fails_too_often_rests() -> None:
    gate = Gate(TERMS)
    await fail(gate, 2)
    with pytest.raises(Unavailable) as refused:
        await enter(gate)
    assert refused.value.reason == RESTING
    await enter(gate, known=True)


async def test_failures_that_are_not_the_vendors_do_not_count() -> None:
    gate = Gate(TERMS)
    for error in (InvalidRequest("no"), RateLimited("no"), InvalidRequest("no")):
        with suppress(type(error)):
            await enter(gate, error)
    await fail(gate, 1)
    with suppress(InvalidRequest):
        await enter(gate, InvalidRequest("the vendor answered"))
    await fail(gate, 1)
    await enter(gate)


async def test_after_its_rest_one_call_goes_ahead_alone() -> None:
    gate = Gate(TERMS)
    await fail(gate, 2)
    await asyncio.sleep(TERMS.rest)
    async with gate.entered(patience=5.0, known_job=False):
        with pytest.raises(Unavailable):
            await enter(gate)
    await enter(gate)


async def test_a_probe_that_fails_means_another_rest() -> None:
    gate = Gate(TERMS)
    await fail(gate, 2)
    await asyncio.sleep(TERMS.rest)
    await fail(gate, 1)
    with pytest.raises(Unavailable):
        await enter(gate)


async def test_a_probe_that_is_cancelled_lets_the_next_one_go_ahead() -> None:
    gate = Gate(TERMS)
    await fail(gate, 2)
    await asyncio.sleep(TERMS.rest)
    with suppress(asyncio.CancelledError):
        async with gate.entered(patience=5.0, known_job=False):
            raise asyncio.CancelledError
    await enter(gate)


async def test_a_pause_is_sat_out_or_refused() -> None:
    gate = Gate(TERMS)
    gate.pause(0.05)
    began = time.monotonic()
    await enter(gate)
    assert time.monotonic() - began >= 0.05
    gate.pause(60.0)
    with pytest.raises(RateLimited) as refused:
        await enter(gate, patience=1.0)
    assert refused.value.reason == PAUSED
    assert refused.value.retry_after is not None and refused.value.retry_after > 50
    await enter(gate, known=True)


async def refuses(gate: Gate) -> bool:
    try:
        await enter(gate, patience=0.5)
    except RateLimited:
        return True
    return False


async def test_a_pause_is_heeded_by_every_worker(nats_url: str) -> None:
    async with services_bus(nats_url, "one") as one, services_bus(nats_url, "other") as other:
        here, there = Gates(one, patience=0.5), Gates(other, patience=0.5)
        async with here.listening(one), there.listening(other):
            await other.flush()
            known, new = there.of(TERMS), Terms("acme.fedcba987654")
            for account in (TERMS.account, new.account):
                await here.pause(account, 30.0)
            await one.flush()
            await other.flush()
            await until(lambda: refuses(here.of(TERMS)))
            await until(lambda: refuses(known))
            await until(lambda: refuses(there.of(new)))
            await enter(there.of(Terms("acme.another")))


@pytest.mark.parametrize("nonsense", [b"", b"{}", b"[]", b'{"seconds": "x"}', b"\xff"])
async def test_nonsense_on_the_bus_pauses_nobody(nats_url: str, nonsense: bytes) -> None:
    async with services_bus(nats_url, "one") as one:
        gates = Gates(one, patience=0.5)
        async with gates.listening(one):
            await one.publish("limits.v1.acme.0123456789ab", nonsense)
            await one.flush()
            await one.flush()
            await enter(gates.of(TERMS))
