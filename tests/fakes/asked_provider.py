"""A provider with a vendor in memory: jobs, charges, and whatever may go wrong with them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from services.common.errors import ComputeError, OutcomeUnknown
from services.providers.calls import AccountTerms, LostCall, UnrecordedCall, VendorCall, VendorJob
from services.providers.ports import Check, Drawing, DrawnPicture, ModelCard, OnStep


@dataclass
class Vendor:
    """`refusals` answer submissions, `troubles` the asking for a job: one each. A None among them goes well.

    An OutcomeUnknown among the refusals is charged all the same. `gate` holds the asking, `counter` the submission.
    """

    refusals: deque[ComputeError | None] = field(default_factory=deque)
    troubles: deque[BaseException | None] = field(default_factory=deque)
    charged: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    asked_for: list[str] = field(default_factory=list)
    found: VendorJob | None = None
    cancelling: bool | ComputeError = True
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    counter: asyncio.Event = field(default_factory=asyncio.Event)
    submitting: asyncio.Event = field(default_factory=asyncio.Event)
    asking: asyncio.Event = field(default_factory=asyncio.Event)
    troubled: asyncio.Event = field(default_factory=asyncio.Event)
    two: asyncio.Event = field(default_factory=asyncio.Event)
    running: int = 0
    most: int = 0

    def __post_init__(self) -> None:
        self.gate.set()
        self.counter.set()

    async def submit(self) -> VendorJob:
        self.submitting.set()
        await self.counter.wait()
        refusal = self.refusals.popleft() if self.refusals else None
        if refusal is None or isinstance(refusal, OutcomeUnknown):
            self.charged.append(f"job-{len(self.charged) + 1}")
        if refusal is not None:
            raise refusal
        return VendorJob(self.charged[-1])

    async def wait(self, job: VendorJob) -> None:
        self.asked_for.append(job.id)
        self.running += 1
        self.most = max(self.most, self.running)
        self.asking.set()
        if self.running == 2:
            self.two.set()
        try:
            await self.gate.wait()
        finally:
            self.running -= 1
        trouble = self.troubles.popleft() if self.troubles else None
        if trouble is not None:
            self.troubled.set()
            raise trouble


@dataclass(frozen=True)
class Acme:
    """Draws through `vendor`; knows neither how to cancel nor how to find."""

    vendor: Vendor
    terms: AccountTerms | None = field(default_factory=lambda: AccountTerms("acme.1", rest=0.2))
    call: VendorCall = field(default_factory=UnrecordedCall)
    config: Mapping[str, Any] = field(default_factory=dict)
    checks: Mapping[str, Check] = field(default_factory=dict)
    canaries: Mapping[str, Check] = field(default_factory=dict)

    def configured(self, config: Mapping[str, Any], call: VendorCall) -> Self:
        return replace(self, config=config, call=call)

    async def draw(self, drawing: Drawing, on_step: OnStep) -> DrawnPicture:
        """The picture's model names the job, its seed how many capabilities are on."""
        job = await self.call.job(self.vendor.submit, {"prompt": drawing.prompt})
        await self.vendor.wait(job)
        self.call.costs(0.5)
        seed = None if self.call.capabilities is None else len(self.call.capabilities)
        return DrawnPicture(np.zeros((2, 2, 3), np.uint8), ModelCard(job.id, "", ""), seed=seed)


class Careful(Acme):
    """One whose jobs can be cancelled and found."""

    async def cancel(self, job: VendorJob) -> bool:
        if isinstance(self.vendor.cancelling, ComputeError):
            raise self.vendor.cancelling
        if self.vendor.cancelling:
            self.vendor.cancelled.append(job.id)
        return self.vendor.cancelling

    async def find(self, lost: LostCall) -> VendorJob | None:
        return self.vendor.found


class Prompt(Acme):
    """One that answers at once."""

    async def draw(self, drawing: Drawing, on_step: OnStep) -> DrawnPicture:
        job = await self.call.once(self.vendor.submit)
        await self.vendor.wait(job)
        return DrawnPicture(np.zeros((2, 2, 3), np.uint8), ModelCard(job.id, "", ""))
