"""A vendor's account that fails is left alone, and then tried by one call, not by all that waited."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import nats.errors
import pytest

from services.common.errors import ComputeError, InvalidRequest, ProviderFailed, RateLimited
from services.providers.calling.account_limits import PAUSED, RESTING, AccountLimiter, AccountLimiters
from services.providers.calls import AccountTerms
from tests.fakes.clocks import HandClock, hand_clock
from tests.unit.test_inference_asking_vendors import SilentBus
from tests.waiting import turns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HandClock:
    return hand_clock(monkeypatch, "services.providers.calling.account_limits")


TERMS = AccountTerms("acme", at_once=1, failures=2, rest=30.0)


async def enter(
    limiter: AccountLimiter, error: BaseException | None = None, *, patience: float = 1.0, known: bool = False
) -> None:
    async with limiter.entered(patience=patience, known_job=known):
        if error is not None:
            raise error


async def fail(limiter: AccountLimiter, error: BaseException | None = None) -> None:
    with pytest.raises((ProviderFailed, RateLimited, InvalidRequest, asyncio.CancelledError)):
        await enter(limiter, error or ProviderFailed("broken"))


async def refused(limiter: AccountLimiter, *, patience: float = 1.0) -> tuple[str, float | None]:
    with pytest.raises(ComputeError) as caught:
        await enter(limiter, patience=patience)
    return caught.value.reason, caught.value.retry_after


async def entering(limiter: AccountLimiter, until: asyncio.Event) -> None:
    async with limiter.entered(patience=1.0, known_job=False):
        await until.wait()


async def test_whoever_waited_for_a_place_does_not_follow_a_probe_into_it(clock: HandClock) -> None:
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


async def test_it_rests_as_long_as_its_terms_say_and_then_one_tries(clock: HandClock) -> None:
    limiter = AccountLimiter(TERMS)
    await fail(limiter)
    assert not limiter.resting
    await fail(limiter)
    clock.now += 28.0
    assert await refused(limiter) == (RESTING, 2.0)
    clock.now += 1.75
    assert limiter.resting
    assert await refused(limiter) == (RESTING, 1.0)
    await enter(limiter, known=True)  # a job that is there is asked for in any case
    clock.now += 0.25
    assert not limiter.resting


async def test_after_its_rest_one_call_goes_ahead_alone_and_opens_the_way(clock: HandClock) -> None:
    limiter = AccountLimiter(AccountTerms("acme", at_once=3, failures=2, rest=30.0))
    await fail(limiter)
    await fail(limiter)
    clock.now += 30.0
    async with limiter.entered(patience=1.0, known_job=False):
        assert await refused(limiter) == (RESTING, 1.0)
        await enter(limiter, known=True)
        assert await refused(limiter) == (RESTING, 1.0)
    async with limiter.entered(patience=1.0, known_job=False):
        await enter(limiter)


async def test_a_probe_that_fails_means_another_rest(clock: HandClock) -> None:
    limiter = AccountLimiter(TERMS)
    await fail(limiter)
    await fail(limiter)
    clock.now += 30.0
    await fail(limiter)
    assert await refused(limiter) == (RESTING, 30.0)


async def test_a_probe_that_is_cancelled_lets_the_next_one_go_ahead_alone(clock: HandClock) -> None:
    limiter = AccountLimiter(AccountTerms("acme", at_once=3, failures=2, rest=30.0))
    await fail(limiter)
    await fail(limiter)
    clock.now += 30.0
    await fail(limiter, asyncio.CancelledError())
    async with limiter.entered(patience=1.0, known_job=False):
        assert await refused(limiter) == (RESTING, 1.0)


@pytest.mark.parametrize("answer", [None, InvalidRequest("the vendor answered")])
async def test_only_failures_in_a_row_count(clock: HandClock, answer: ComputeError | None) -> None:
    limiter = AccountLimiter(TERMS)
    for _ in range(3):
        await fail(limiter)
        if answer is None:
            await enter(limiter)
        else:
            await fail(limiter, answer)
    assert not limiter.resting
    await enter(limiter)


async def test_an_account_that_rests_refuses_at_once_though_no_place_is_free(clock: HandClock) -> None:
    limiter = AccountLimiter(TERMS)
    await fail(limiter)
    await fail(limiter)
    async with limiter.entered(patience=1.0, known_job=True), asyncio.timeout(1):
        assert await refused(limiter) == (RESTING, 30.0)


async def test_limits_of_a_vendor_speak_not_against_it(clock: HandClock) -> None:
    limiter = AccountLimiter(TERMS)
    await fail(limiter)
    await fail(limiter, RateLimited("slower", retry_after=1.0))
    assert not limiter.resting
    await fail(limiter)
    assert limiter.resting


async def test_a_pause_for_longer_than_one_waits_is_told(clock: HandClock) -> None:
    limiter = AccountLimiter(TERMS)
    limiter.pause(20.0)
    limiter.pause(5.0)
    assert await refused(limiter, patience=19.0) == (PAUSED, 20.0)
    await enter(limiter, known=True)


async def test_a_pause_is_sat_out_to_its_end_and_hardly_longer(clock: HandClock) -> None:
    """A little longer and never all at once, or every worker would come back at the same instant."""
    slept = set()
    for _ in range(30):
        clock.now, limiter = 0.5, AccountLimiter(TERMS)
        limiter.pause(20.0)
        await enter(limiter, patience=20.0)
        slept.add(clock.slept.pop())
        assert not clock.slept
    assert 20.0 <= min(slept) < max(slept) <= 22.0
    limiter.pause(0.25)
    await enter(limiter)
    assert 0.25 <= clock.slept.pop() <= 0.275


async def test_whoever_sits_out_a_pause_keeps_nobodys_place(clock: HandClock) -> None:
    limiter = AccountLimiter(TERMS)
    limiter.pause(0.5)
    clock.stands = True
    waiting = asyncio.create_task(enter(limiter))
    await turns(3)
    async with asyncio.timeout(1):
        await enter(limiter, known=True)
    assert not waiting.done()
    waiting.cancel()


async def test_a_pause_that_is_demanded_while_one_waits_for_a_place_is_heeded(clock: HandClock) -> None:
    limiter = AccountLimiter(TERMS)
    async with limiter.entered(patience=1.0, known_job=False):
        waiting = asyncio.create_task(enter(limiter))
        await turns(3)
        limiter.pause(20.0)
    with pytest.raises(RateLimited):
        await waiting


async def test_those_that_rest_are_counted(clock: HandClock) -> None:
    limiters = AccountLimiters(SilentBus(), patience=1.0)
    assert limiters.resting == 0
    for name in ("a", "b", "c"):
        limiter = limiters.of(AccountTerms(name, failures=1, rest=30.0))
        if name != "c":
            await fail(limiter)
    assert limiters.resting == 2
    clock.now += 30
    assert limiters.resting == 0


class Wire:
    """A bus between workers of one process."""

    def __init__(self) -> None:
        self.is_connected = True
        self.broken = False
        self.told: list[bytes] = []
        self.listeners: dict[object, Any] = {}

    async def subscribe(self, subject: str, *, cb: Any) -> Any:
        assert subject.endswith(".>")
        key = object()
        self.listeners[key] = cb

        async def unsubscribe() -> None:
            del self.listeners[key]

        return SimpleNamespace(unsubscribe=unsubscribe)

    async def publish(self, subject: str, payload: bytes, reply: str = "") -> None:
        if self.broken:
            raise nats.errors.ConnectionClosedError
        self.told.append(payload)
        for heed in list(self.listeners.values()):
            await heed(SimpleNamespace(subject=subject, data=payload))


async def test_a_pause_is_heeded_by_every_worker_that_listens(clock: HandClock) -> None:
    wire = Wire()
    here, there = (AccountLimiters(wire, patience=1.0) for _ in range(2))
    known, stranger = there.of(TERMS), AccountTerms("acme.other")
    async with there.listening(cast("Any", wire)):
        await here.pause("acme", 20.0)
        await here.pause("acme.other", 30.0)
    for limiters in (here, there):
        assert await refused(limiters.of(TERMS)) == (PAUSED, 20.0)
        assert await refused(limiters.of(stranger)) == (PAUSED, 30.0)
        await enter(limiters.of(AccountTerms("acme.another")))
    assert known is there.of(TERMS)
    assert not wire.listeners


async def test_a_pause_that_cannot_be_told_is_kept_here(clock: HandClock) -> None:
    wire = Wire()
    limiters = AccountLimiters(wire, patience=1.0)
    wire.broken = True
    await limiters.pause("acme", 20.0)
    assert await refused(limiters.of(TERMS)) == (PAUSED, 20.0)


async def test_of_two_pauses_of_an_account_nobody_has_used_yet_the_longer_one_stays(clock: HandClock) -> None:
    limiters = AccountLimiters(SilentBus(), patience=1.0)
    await limiters.pause("acme", 20.0)
    await limiters.pause("acme", 5.0)
    assert await refused(limiters.of(TERMS)) == (PAUSED, 20.0)
    await limiters.pause("other", 0.25)
    await enter(limiters.of(AccountTerms("other")))
    assert clock.slept[-1] < 0.3


@pytest.mark.parametrize(("demanded", "paused"), [(None, 2.0), (0.0, None), (90.0, 90.0), (1e9, 3600.0)])
async def test_a_vendor_that_names_no_time_is_left_for_two_seconds_and_none_for_more_than_an_hour(
    clock: HandClock, demanded: float | None, paused: float | None
) -> None:
    wire = Wire()
    here, there = (AccountLimiters(wire, patience=1.0) for _ in range(2))
    async with there.listening(cast("Any", wire)):
        await here.pause("acme", demanded)
    for limiters in (here, there):
        if paused is None:
            await enter(limiters.of(TERMS))
        else:
            assert await refused(limiters.of(TERMS)) == (PAUSED, paused)


async def test_another_worker_cannot_pause_an_account_for_more_than_an_hour(clock: HandClock) -> None:
    wire = Wire()
    limiters = AccountLimiters(wire, patience=1.0)
    async with limiters.listening(cast("Any", wire)):
        await wire.publish("limits.v1.acme", b'{"seconds": 1e9}')
    assert await refused(limiters.of(TERMS)) == (PAUSED, 3600.0)


async def test_a_bus_that_is_gone_is_not_asked_to_forget_the_listener(clock: HandClock) -> None:
    wire = Wire()
    async with AccountLimiters(wire, patience=1.0).listening(cast("Any", wire)):
        wire.is_connected = False
    assert wire.listeners
