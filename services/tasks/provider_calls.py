"""Calls to outside providers, as a task keeps them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from services.common.errors import OutcomeUnknown


class CallOutcome(StrEnum):
    """How far a call has come. It only moves forward, except from UNKNOWN, which may still be resolved."""

    INTENDED = "INTENDED"
    SUBMITTED = "SUBMITTED"
    UNKNOWN = "UNKNOWN"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


_ERROR_LIMIT = 500
_BEFORE_THE_END = (CallOutcome.INTENDED, CallOutcome.SUBMITTED, CallOutcome.UNKNOWN)


@dataclass(frozen=True, slots=True)
class ProviderCallRecord:
    """One call to a provider. Seconds and US dollars; `started_at` in microseconds since the epoch.

    `job_details` is JSON. What costs nothing has no `id`. `sequence` is the number of the request within the run; one
    that is `before_replay` was made before the task was replayed.
    """

    provider: str
    attempt: int
    request_id: str
    outcome: str
    duration: float
    cost: float | None = None
    id: str = ""
    sequence: int = 0
    started_at: int | None = None
    fallback: bool = False
    job_details: str = ""
    reason: str = ""
    error: str = ""
    before_replay: bool = False

    @property
    def is_orphaned(self) -> bool:
        """Whether a vendor may still work on it for us, and there is something to ask it by."""
        if not self.id or self.outcome not in _BEFORE_THE_END or self.reason == OutcomeUnknown.GIVEN_UP:
            return False
        return self.outcome != CallOutcome.UNKNOWN or bool(self.request_id or self.job_details)

    def given_up(self, why: str) -> ProviderCallRecord:
        message = f"{self.error or 'it may have been charged'}; {why}"[:_ERROR_LIMIT]
        return replace(self, outcome=CallOutcome.UNKNOWN, reason=OutcomeUnknown.GIVEN_UP, error=message)

    def followed_by(self, said: ProviderCallRecord) -> ProviderCallRecord:
        """What is known once `said` has been heard, which may have been long on its way."""
        newer = said if _progress(said) >= _progress(self) else self
        return replace(
            newer,
            attempt=self.attempt,
            request_id=said.request_id or self.request_id,
            job_details=said.job_details or self.job_details,
            cost=self.cost if said.cost is None else said.cost,
            started_at=self.started_at,
            before_replay=self.before_replay,
        )


def kept(known: tuple[ProviderCallRecord, ...], said: Iterable[ProviderCallRecord]) -> tuple[ProviderCallRecord, ...]:
    """`known` with what is said of its calls, and with those that are new."""
    found = list(known)
    places = {call.id: place for place, call in enumerate(found) if call.id}
    for call in said:
        place = places.get(call.id)
        if place is not None:
            found[place] = found[place].followed_by(call)
            continue
        if call.id:
            places[call.id] = len(found)
        found.append(call)
    return tuple(found)


def _progress(call: ProviderCallRecord) -> int:
    return _BEFORE_THE_END.index(CallOutcome(call.outcome)) if call.outcome in _BEFORE_THE_END else len(_BEFORE_THE_END)
