"""How long a run waits between two tries of one provider."""

from __future__ import annotations

from collections import deque

import pytest

from services.common import errors
from services.providers.calls import AccountTerms
from tests.fakes.asked_provider import Careful, Vendor
from tests.fakes.clocks import HandClock, hand_clock
from tests.unit.test_inference_asking import Bench

FAILED = errors.ProviderFailed("broke")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HandClock:
    return hand_clock(monkeypatch, "services.providers.calling.account_limits")


@pytest.mark.parametrize(
    ("chance", "pauses"),
    [
        (min, [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]),
        (max, [0.75, 1.5, 3.0, 6.0, 12.0, 24.0, 30.0, 30.0]),
    ],
)
async def test_each_pause_is_about_twice_the_last_and_none_follows_the_last_try(
    clock: HandClock, monkeypatch: pytest.MonkeyPatch, chance: object, pauses: list[float]
) -> None:
    monkeypatch.setattr("random.uniform", chance)
    bench = Bench(Careful(Vendor(troubles=deque([FAILED] * 9)), AccountTerms("acme.1", tries=9, failures=99)))
    with pytest.raises(errors.ProviderFailed):
        await bench.ask()
    assert clock.slept == pauses


async def test_what_a_vendor_demands_is_waited_for_where_a_run_may_wait_so_long(clock: HandClock) -> None:
    busy = errors.ProviderFailed("come back later", retry_after=40.0)
    bench = Bench(Careful(Vendor(refusals=deque([busy]))), patience=40.0)
    await bench.ask()
    assert clock.slept == [40.0]
    assert bench.outcomes == ["FAILED", "SUCCEEDED"]
