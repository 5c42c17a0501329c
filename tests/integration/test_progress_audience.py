"""Progress is told to those who listen: hardly at all while nobody does, and the newest at once to whoever begins."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import uuid4

import numpy as np
import pytest
from compute.tasks.v1 import tasks_pb2 as pb
from nats.aio.client import Client
from PIL import Image

from services.inference.audience import Audience
from services.inference.progress import ProgressFeed
from services.messaging.subjects.workers import progress_subject, watch_subject
from services.worker.runs import AttemptKey, Run
from tests.nats_server import connected, services_bus
from tests.waiting import time_passes

STEPS, PAUSE = 60, 0.02
PREVIEW = np.random.default_rng(1).integers(0, 256, (16, 16, 3), np.uint8)


@dataclass
class CountedBus:
    bus: Client
    sent: int = 0

    async def publish(self, subject: str, payload: bytes, reply: str = "") -> None:
        self.sent += 1
        await self.bus.publish(subject, payload, reply)


@dataclass
class Watcher:
    heard: list[pb.TaskProgress] = field(default_factory=list)
    first: asyncio.Event = field(default_factory=asyncio.Event)

    async def hear(self, message: Any) -> None:
        self.heard.append(pb.TaskProgress.FromString(message.data))
        self.first.set()


class Bench:
    """One run that reports, and a connection of its own for whoever watches."""

    def __init__(self, bus: Client, theirs: Client, audience: Audience) -> None:
        self.task_id = str(uuid4())
        self.bus, self.theirs = CountedBus(bus), theirs
        run = Run(AttemptKey(self.task_id, 1), pb.Task(), cast("Any", None), 0.0)
        self.feed = ProgressFeed(run, self.bus, audience)
        self.step = 0

    async def work(self, steps: int) -> int:
        """Reports so many steps, one each 20 ms; answers how many of them were sent."""
        before = self.bus.sent
        for _ in range(steps):
            self.step += 1
            await self.feed.report("drawing", self.step, 10_000, preview=PREVIEW)
            await time_passes(PAUSE, because="a step takes a while")
        return self.bus.sent - before

    @asynccontextmanager
    async def watcher(self, *, says_so: bool = True) -> AsyncIterator[Watcher]:
        watcher = Watcher()
        subscription = await self.theirs.subscribe(progress_subject(self.task_id), cb=watcher.hear)
        if says_so:
            await self.theirs.publish(watch_subject(self.task_id))
        await self.theirs.flush()
        yield watcher
        await subscription.unsubscribe()
        await self.theirs.flush()


@pytest.fixture
async def bench(nats_url: str) -> AsyncIterator[Bench]:
    audience = Audience()
    async with (
        services_bus(nats_url, "worker of a test") as bus,
        audience.listening(bus),
        await connected(nats_url) as theirs,
    ):
        yield Bench(bus, theirs, audience)


async def test_what_nobody_listens_to_is_hardly_told(bench: Bench) -> None:
    assert 1 <= await bench.work(STEPS) <= 4


async def test_who_listens_from_the_start_hears_ten_a_second_with_previews(bench: Bench) -> None:
    async with bench.watcher() as watcher:
        assert await bench.work(STEPS) >= 6
        await watcher.first.wait()
    assert watcher.heard[0].step == 1
    assert all(Image.open(io.BytesIO(said.preview_png)).size == (16, 16) for said in watcher.heard)


async def test_who_begins_late_hears_the_newest_at_once_although_nothing_new_is_reported(bench: Bench) -> None:
    await bench.work(20)
    assert not bench.feed.is_heard
    began = time.monotonic()
    async with bench.watcher() as watcher:
        async with asyncio.timeout(5):
            await watcher.first.wait()
        assert time.monotonic() - began < 0.5
        assert (watcher.heard[0].step, bool(watcher.heard[0].preview_png)) == (20, True)
        assert await bench.work(STEPS) >= 6
    await bench.work(10)
    assert not bench.feed.is_heard


async def test_who_began_unheard_of_is_found_within_a_second_or_two(bench: Bench) -> None:
    """What says that somebody watches may get lost."""
    await bench.work(10)
    async with bench.watcher(says_so=False) as watcher:
        await bench.work(2 * STEPS)
    assert len(watcher.heard) >= 6


async def test_without_an_audience_everything_counts_as_heard(nats_url: str) -> None:
    async with services_bus(nats_url, "worker of a test") as bus, await connected(nats_url) as theirs:
        assert await Bench(bus, theirs, Audience()).work(STEPS) >= 6


async def test_the_end_of_a_run_is_forgotten(bench: Bench) -> None:
    audience, task_id = bench.feed._audience, bench.task_id
    await bench.work(1)
    assert task_id in audience._tellers
    del bench.feed
    assert task_id not in audience._tellers
