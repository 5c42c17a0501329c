"""Who is let in, who makes room, and who is too slow."""

from __future__ import annotations

import resource

import pytest

from gateway.edge.connections import ClientTimeouts, ConnectionLimiter, ThroughputCheck, networks
from gateway.settings import GatewaySettings
from services.common.errors import Overloaded, Unavailable
from services.common.settings import read_settings

PATIENCE = ClientTimeouts(head=10, idle=75, body=20, answer=30, rate=1000)


class Guest:
    """Remembers that it had to go."""

    def __init__(self) -> None:
        self.evicted = False

    def check(self, passed: float) -> None:
        return None

    def evict(self) -> None:
        self.evicted = True


def limiter(most: int = 12, per_address: int = 100, trusted: str = "") -> ConnectionLimiter:
    """Of twelve places two are the room for health checks."""
    return ConnectionLimiter(PATIENCE, most=most, per_address=per_address, trusted=networks(trusted))


def enter(at: ConnectionLimiter, address: str | None = "10.0.0.1") -> tuple[Guest, object]:
    guest = Guest()
    return guest, at.enter(guest, address, trusted=at.trusts(address))


async def test_the_one_that_never_sent_anything_goes_first_and_then_the_longest_idle() -> None:
    at = limiter(trusted="*")
    guests = [enter(at)[0] for _ in range(10)]
    for guest in guests[:8]:
        at.spoke(guest)
    for guest in reversed(guests[:8]):
        at.resting[guest] = None
    for _ in range(3):
        newcomer, refusal = enter(at)
        assert refusal is None
        at.spoke(newcomer)
    assert [guest.evicted for guest in guests] == [*[False] * 7, True, True, True]


async def test_where_nobody_is_silent_the_newest_of_those_turned_away_stay_for_health() -> None:
    at = limiter(trusted="*")
    for _ in range(10):
        at.spoke(enter(at)[0])
    extra = [enter(at) for _ in range(4)]
    assert all(isinstance(refusal, Unavailable) for _, refusal in extra)
    assert [guest.evicted for guest, _ in extra] == [True, True, False, False]


async def test_an_address_has_its_share_and_makes_room_within_it() -> None:
    at = limiter(most=100, per_address=3)
    guests = [enter(at)[0] for _ in range(3)]
    for guest in guests[1:]:
        at.spoke(guest)
    newcomer, refusal = enter(at)
    assert (refusal, guests[0].evicted) == (None, True)
    at.spoke(newcomer)
    _, refusal = enter(at)
    assert isinstance(refusal, Overloaded)
    assert enter(at, "10.0.0.2")[1] is None
    at.leave(newcomer)
    at.leave(newcomer)
    assert enter(at)[1] is None


async def test_no_address_has_more_than_half_of_all() -> None:
    at = limiter(most=12, per_address=100)
    for _ in range(5):
        at.spoke(enter(at)[0])
    assert isinstance(enter(at)[1], Overloaded)


@pytest.mark.parametrize(
    ("trusted", "address", "answer"),
    [
        ("", "127.0.0.1", False),
        ("", None, True),
        ("127.0.0.1, ::1", "::1", True),
        ("127.0.0.1", "::ffff:127.0.0.1", True),
        ("10.0.0.0/8", "10.200.3.4", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        ("fe80::/10", "fe80::1%eth0", True),
        ("*", "2001:db8::1", True),
    ],
)
def test_proxies_are_known_by_their_networks(trusted: str, address: str | None, answer: bool) -> None:
    assert limiter(trusted=trusted).trusts(address) is answer


def test_more_connections_than_files_can_be_opened_are_never_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 256))
    at = limiter(most=10_000)
    assert (at._most, at._room) == (180, 12)


def test_silence_and_a_trickle_are_too_slow_and_a_steady_flow_is_not() -> None:
    def seconds_until_too_slow(rate: int, within: int = 60) -> int | None:
        pace, moved = ThroughputCheck(0), 0
        for second in range(1, within):
            moved += rate
            if pace.too_slow(moved, 1.0, patience=20, rate=1000):
                return second
        return None

    assert seconds_until_too_slow(0) == 20
    assert seconds_until_too_slow(1) == 21
    assert seconds_until_too_slow(500) == 41
    assert seconds_until_too_slow(1000) is None


def test_who_was_fast_and_then_stops_has_no_credit_for_it() -> None:
    pace = ThroughputCheck(0)
    assert not pace.too_slow(10_000_000, 1.0, patience=20, rate=1000)
    verdicts = [pace.too_slow(10_000_000, 1.0, patience=20, rate=1000) for _ in range(20)]
    assert verdicts == [*[False] * 19, True]


@pytest.mark.parametrize(
    ("variable", "value"),
    [("TRUSTED_PROXIES", "10.0.0.1/8"), ("TRUSTED_PROXIES", "my-proxy"), ("HEAD_TIMEOUT_SECONDS", "0"),
     ("LEAST_BYTES_PER_SECOND", "-1"), ("MAX_CONNECTIONS", "0")],
)  # fmt: skip
def test_a_limit_that_cannot_be_is_named_at_the_start(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv("INTERNAL_TOKEN", "t")
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit, match=variable):
        read_settings(GatewaySettings)
