"""Refusals of one tenant go at a rate, and nobody else's wait for them."""

from __future__ import annotations

import pytest

from services.common.refusal_pacing import RefusalPacer


def test_each_refusal_of_a_tenant_is_due_an_interval_after_the_last_and_none_later_than_the_longest() -> None:
    pacer = RefusalPacer(rate=0.01, longest=150.0)
    assert [pacer.delay("flood") for _ in range(4)] == pytest.approx([0.0, 100.0, 150.0, 150.0], abs=1.0)
    assert pacer.delay("other") == 0.0


def test_a_tenant_that_has_paused_is_answered_at_once() -> None:
    pacer = RefusalPacer(rate=1e9, longest=150.0)
    assert pacer.delay("flood") == 0.0
    assert pacer.delay("flood") == pytest.approx(0.0, abs=1e-6)
