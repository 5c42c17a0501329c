"""Random faults and crashes at every step of paid calls: never two jobs that are both worth their money."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from compute.tasks.v1 import tasks_pb2 as pb

from services.common import errors
from services.common.errors import ComputeError
from services.providers.calling import call_ledger as ledger
from services.providers.calling import provider_retries as tries
from services.providers.calling.fallback_chain import FallbackChain
from services.providers.calls import AccountTerms, LostCall, UnrecordedCall, VendorCall, VendorJob
from services.providers.directory import Providers
from services.providers.ports import DIFFUSION, DiffusionStep, Drawing, DrawnPicture, ModelCard, OnStep
from services.worker.runs import AttemptKey, Run
from tests.fakes.provider_context import FakeRecorder, provider_context_of
from tests.waiting import turns

LIVES, SCENARIOS = 12, 400


class Fate:
    """One process: after so many steps it is dead, and nothing it does has any effect."""

    def __init__(self, steps: int) -> None:
        self.left = steps
        self.died = asyncio.Event()

    async def step(self) -> None:
        self.left -= 1
        if self.left < 0:
            self.died.set()
            await asyncio.Event().wait()


class MortalRecorder(FakeRecorder):
    fate: Fate

    async def record(self, key: AttemptKey, call: pb.ProviderCall) -> bool:
        await self.fate.step()
        answer = await super().record(key, call)
        await self.fate.step()
        return answer


@dataclass
class Vendor:
    """Its jobs by id: True once it is sure that they end well. `tokens` tells which call each belongs to."""

    chance: random.Random
    findable: bool
    jobs: dict[str, bool] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def worth(self) -> int:
        """How many jobs were charged and ended, or will end, well."""
        return sum(self.jobs.values())


@dataclass(frozen=True)
class Shaky:
    """An adapter whose vendor, line and process may fail at any moment."""

    vendor: Vendor
    fate: Fate
    terms: AccountTerms
    call: VendorCall = field(default_factory=UnrecordedCall)
    checks: dict[str, Any] = field(default_factory=dict)
    canaries: dict[str, Any] = field(default_factory=dict)

    def configured(self, config: Any, call: VendorCall) -> Shaky:
        return replace(self, call=call)

    async def draw(self, drawing: Drawing, on_step: OnStep) -> DrawnPicture:
        job = await self.call.job(self._submit, {"prompt": drawing.prompt})
        await self.fate.step()
        await self._trouble(errors.Unavailable("away"), 0.3)
        if not self.vendor.jobs[job.id]:
            raise errors.ProviderFailed("the job failed")
        await self.fate.step()
        return DrawnPicture(np.zeros((1, 1, 3), np.uint8), ModelCard(job.id, "", ""))

    async def cancel(self, job: VendorJob) -> bool:
        await self.fate.step()
        await self._trouble(errors.Unavailable("away"), 0.3)
        done = self.vendor.jobs[job.id] and self.vendor.chance.random() < 0.5
        if not done:
            self.vendor.jobs[job.id] = False
        return not done

    async def find(self, lost: LostCall) -> VendorJob | None:
        await self.fate.step()
        await self._trouble(errors.Unavailable("away"), 0.2)
        found = [job for job, token in self.vendor.tokens.items() if token == lost.token]
        return VendorJob(found[0]) if found and self.vendor.findable else None

    async def _submit(self) -> VendorJob:
        await self.fate.step()
        await self._trouble(errors.Unavailable("never left"), 0.1)
        await self._trouble(errors.RateLimited("slow down", retry_after=0.0001), 0.1)
        job = f"{id(self.vendor)}-{len(self.vendor.jobs)}"
        self.vendor.jobs[job] = self.vendor.chance.random() < 0.7
        self.vendor.tokens[job] = self.call.token
        await self.fate.step()
        await self._trouble(errors.OutcomeUnknown("the line was cut"), 0.2)
        return VendorJob(job)

    async def _trouble(self, error: ComputeError, likely: float) -> None:
        if self.vendor.chance.random() < likely:
            raise error


class SilentBus:
    async def publish(self, subject: str, payload: bytes, reply: str = "") -> None:
        pass


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tries, "_FIRST_PAUSE", 0.0)
    monkeypatch.setattr(ledger, "_LAST_SECONDS", 0.0)


async def live(task: pb.Task, vendors: dict[str, Vendor], recorder: MortalRecorder, steps: int) -> Any:
    """One attempt of a task by one process: its picture, its error, or None when the process died."""
    fate = recorder.fate = Fate(steps)
    found = {name: Shaky(vendor, fate, AccountTerms(f"{name}.1", failures=10**6)) for name, vendor in vendors.items()}
    provider_context = provider_context_of(Providers(found), SilentBus(), recorder=recorder)
    run = Run(AttemptKey(task.id, task.attempt), task, asyncio.create_task(turns()), 0.0)
    fallback_chain = FallbackChain(run, provider_context, "ACME")

    async def quiet(step: DiffusionStep) -> None:
        pass

    async def attempt() -> Any:
        try:
            return await fallback_chain.ask(DIFFUSION, lambda able: able.draw(Drawing("x", 1), quiet))
        except ComputeError as error:
            return error

    asking, dying = asyncio.create_task(attempt()), asyncio.create_task(fate.died.wait())
    async with asyncio.timeout(20):
        await asyncio.wait({asking, dying}, return_when=asyncio.FIRST_COMPLETED)
    dead = not asking.done()
    for one in (asking, dying):
        one.cancel()
    ended = (await asyncio.gather(asking, dying, return_exceptions=True))[0]
    if dead:
        return None
    for entry in fallback_chain.ledger.entries:
        if entry.outcome and entry.call_id:
            recorder.kept[entry.call_id] = entry  # told with the end of the run
    return ended


async def scenario(seed: int) -> tuple[str, int]:
    """How it ended, and how many jobs were worth their money."""
    chance = random.Random(seed)
    findable = chance.random() < 0.6
    vendors = {name: Vendor(chance, findable) for name in ("ACME", "OTHER")}
    recorder = MortalRecorder()
    task = pb.Task(id="t", tenant="acme")
    task.spec.provider_type = "ACME"
    if chance.random() < 0.6:
        task.spec.fallback_provider_type = "OTHER"
    for number in range(1, LIVES + 1):
        task.attempt = number
        del task.provider_calls[:]
        task.provider_calls.extend(recorder.kept.values())
        ended = await live(task, vendors, recorder, chance.randrange(1, 30) if number < LIVES else 10**6)
        if ended is None or (isinstance(ended, errors.RateLimited) and number < LIVES):
            continue
        told = "DONE" if isinstance(ended, DrawnPicture) else ended.reason
        return told, sum(vendor.worth for vendor in vendors.values())
    raise AssertionError("the last life does not end")


@pytest.mark.timeout(300)
async def test_no_crash_and_no_fault_buys_the_same_thing_twice() -> None:
    endings: Counter[str] = Counter()
    for seed in range(SCENARIOS):
        told, worth = await scenario(seed)
        endings[told] += 1
        assert worth <= 1, f"seed {seed}: paid {worth} times ({told})"
        assert told != "DONE" or worth == 1, f"seed {seed}"
    assert endings["DONE"] > SCENARIOS // 4
    assert set(endings) <= {
        *("DONE", "PROVIDER_OUTCOME_UNKNOWN", "PROVIDER_FAILED", "PROVIDER_TRIES_USED_UP"),
        *("RATE_LIMITED", "UNAVAILABLE"),
    }
