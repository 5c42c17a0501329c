"""One call to an outside provider, and what is stored of it so that nothing is paid for twice."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, runtime_checkable

AnswerT = TypeVar("AnswerT")
# The reason when a vendor no longer knows a job of ours by its id: it was perhaps paid for, and nothing is left of it.
JOB_UNKNOWN = "PROVIDER_JOB_UNKNOWN"


@dataclass(frozen=True, slots=True)
class VendorJob:
    """What a vendor runs for us, by the vendor's own id. `note` is whatever else it takes to ask for it: plain JSON."""

    id: str
    note: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LostCall:
    """A call that was about to be sent, or was, and whose answer nobody has seen. `at`: seconds since the epoch."""

    token: str
    note: Mapping[str, Any]
    at: float


class VendorCall(Protocol):
    """What an adapter gets for one call. Whatever costs money goes through `job` or `once`, and only once.

    `token` is unguessable and this call's alone: for a webhook's address, or a marker in the request.
    `capabilities` are those the task has switched on; None where it does not say.
    """

    @property
    def token(self) -> str: ...

    @property
    def capabilities(self) -> frozenset[str] | None: ...

    async def job(
        self,
        submit: Callable[[], Awaitable[VendorJob]],
        note: Mapping[str, Any] | None = None,
        *,
        known: VendorJob | None = None,
    ) -> VendorJob:
        """The vendor's job of this call: one that an earlier run submitted, else `known`, else what `submit` starts.

        The intent is stored before `submit` runs, with `note` for who may have to look for it later; the job is stored
        before this returns. A cancelled caller still learns the id of what is being submitted.

        Raises:
            ComputeError: what `submit` raises. OutcomeUnknown of it means that the vendor may have taken the job; every
                other one, that it has not.
            IllegalTransition: the attempt is lost: nothing was sent.
        """
        ...

    async def once(self, send: Callable[[], Awaitable[AnswerT]], note: Mapping[str, Any] | None = None) -> AnswerT:
        """For vendors that answer at once: the intent is stored, then `send` runs. Raises as `job` does."""
        ...

    def costs(self, usd: float | None, *, units: float | None = None) -> None:
        """What this call was charged, or an estimate of it; `units` in the vendor's own, where it counts in some."""
        ...


class UnrecordedCall:
    """A Call that nobody remembers: for what is our own and costs nothing, and for trying an adapter by itself."""

    def __init__(self, capabilities: frozenset[str] | None = None) -> None:
        self.token = secrets.token_urlsafe(24)
        self.capabilities = capabilities
        self.cost: float | None = None
        self.units: float | None = None

    async def job(
        self,
        submit: Callable[[], Awaitable[VendorJob]],
        note: Mapping[str, Any] | None = None,
        *,
        known: VendorJob | None = None,
    ) -> VendorJob:
        return known or await submit()

    async def once(self, send: Callable[[], Awaitable[AnswerT]], note: Mapping[str, Any] | None = None) -> AnswerT:
        return await send()

    def costs(self, usd: float | None, *, units: float | None = None) -> None:
        self.cost, self.units = usd, units


@dataclass(frozen=True, slots=True)
class AccountTerms:
    """How a vendor's account may be used by one worker.

    `account` is told to other workers and to logs: the vendor and a digest of the key, never the key. One try takes at
    most `seconds`, waiting in the vendor's queue included. After `failures` in a row it is left alone for `rest`
    seconds.
    """

    account: str
    tries: int = 3
    seconds: float = 600.0
    at_once: int = 8
    failures: int = 5
    rest: float = 30.0


@runtime_checkable
class SupportsCancel(Protocol):
    """A provider whose jobs can be stopped."""

    async def cancel(self, job: VendorJob) -> bool:
        """True once the vendor says that it runs no more; False when it had already ended well, so ask for it.

        The cost of one that had is told to the call, where the vendor says it.

        Raises:
            ComputeError: neither can be said.
        """
        ...


@runtime_checkable
class SupportsJobStatus(Protocol):
    """A provider whose jobs cannot be stopped, but asked how they went."""

    async def ended(self, job: VendorJob) -> bool:
        """True once it has ended well, its cost told to the call; False while it runs.

        Raises:
            ProviderFailed, ContentRefused, InvalidRequest: it ended otherwise.
            ComputeError: the vendor cannot be asked.
        """
        ...


@runtime_checkable
class SupportsJobLookup(Protocol):
    """A provider whose jobs can be looked up without their id."""

    async def find(self, lost: LostCall) -> VendorJob | None:
        """The job of that call; None when the vendor cannot tell, or shows none. Raises ComputeError."""
        ...


@runtime_checkable
class SupportsAccounts(Protocol):
    """A provider with several accounts, of which the task's configuration chooses one."""

    def terms_of(self, config: Mapping[str, Any]) -> AccountTerms: ...
