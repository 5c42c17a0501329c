"""The watch over a model, on a connection that dies as told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.common.errors import InvalidRequest, ModelUnusable, Unavailable
from services.providers.triton import reloads
from services.providers.triton.connection import ModelState
from services.providers.triton.failures import ModelLost
from services.providers.triton.supervisor import CanaryReply, ModelSupervisor, WatchedRequest
from tests.waiting import time_passes, turns

DEAD = ModelLost("Stub process is not healthy")
NO_NUMBERS = ModelLost("the network answers no numbers", told=True)


class FakeConnection:
    """A model that answers while `process` is not 0; reloading gives it a new process."""

    def __init__(self) -> None:
        self.process = 1
        self.queued = 0
        self.reloads = 0
        self.model_state = ModelState("READY")
        self.failure = DEAD
        self.reload_fails = 0
        self.heals = True

    async def canary(self) -> CanaryReply:
        await turns()
        if not self.process:
            raise self.failure
        return CanaryReply(self.queued, self.process)

    async def state(self, model: str) -> ModelState:
        return self.model_state

    async def reload(self, model: str) -> None:
        self.reloads += 1
        if self.reload_fails:
            self.reload_fails -= 1
            raise ModelLost("no memory")
        self.process = self.reloads + 1 if self.heals else 0


@asynccontextmanager
async def watching(connection: FakeConnection, **chosen: object) -> AsyncIterator[ModelSupervisor]:
    settings = {"every": 0.02, "silence": 30.0, "recovery": 5.0} | chosen
    supervisor = ModelSupervisor("diffusion", connection, connection.canary, **settings)  # type: ignore[arg-type]
    watch = asyncio.create_task(supervisor.run())
    try:
        yield supervisor
    finally:
        watch.cancel()


class Drawing:
    """A request that hangs until `done`, as an open stream of a dead model does; counts its beginnings."""

    def __init__(self) -> None:
        self.begun: list[WatchedRequest] = []
        self.started = asyncio.Event()
        self.done = asyncio.Event()

    async def __call__(self, guard: WatchedRequest) -> str:
        guard.heard()
        self.begun.append(guard)
        self.started.set()
        await self.done.wait()
        return "picture"


async def test_a_request_under_way_survives_the_death_of_its_model() -> None:
    connection, drawing = FakeConnection(), Drawing()
    async with watching(connection) as supervisor:
        request = asyncio.create_task(supervisor.carry(drawing))
        await drawing.started.wait()
        drawing.started.clear()
        connection.process = 0
        await drawing.started.wait()
        drawing.done.set()
        assert await request == "picture"
    assert connection.reloads == 1
    assert len(drawing.begun) == 2


async def test_a_model_reloaded_by_another_worker_is_noticed_by_its_process() -> None:
    connection, drawing = FakeConnection(), Drawing()
    async with watching(connection) as supervisor:
        request = asyncio.create_task(supervisor.carry(drawing))
        await drawing.started.wait()
        drawing.started.clear()
        connection.process = 77
        await drawing.started.wait()
        drawing.done.set()
        assert await request == "picture"
    assert connection.reloads == 0


async def test_a_model_somebody_is_loading_is_left_alone() -> None:
    connection = FakeConnection()
    connection.process, connection.model_state = 0, ModelState("LOADING")
    async with watching(connection) as supervisor:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await supervisor.carry(Drawing())
    assert connection.reloads == 0


async def test_a_server_that_is_gone_is_waited_for_and_not_reloaded() -> None:
    connection, drawing = FakeConnection(), Drawing()
    drawing.done.set()
    connection.process, connection.failure = 0, ModelLost("connection refused", server=True)
    async with watching(connection) as supervisor:
        request = asyncio.create_task(supervisor.carry(drawing))
        await time_passes(0.2, because="the request fails while nobody is there")
        connection.process = 1
        assert await request == "picture"
    assert connection.reloads == 0


async def test_a_process_that_hangs_is_ended_before_its_model_is_reloaded() -> None:
    connection, drawing, ended = FakeConnection(), Drawing(), []

    def end(pid: int, model: str) -> bool:
        ended.append((pid, model, connection.reloads))
        return True

    async with watching(connection, end_process=end) as supervisor:
        request = asyncio.create_task(supervisor.carry(drawing))
        await drawing.started.wait()
        drawing.started.clear()
        connection.process, connection.failure = 0, ModelLost("no answer within 10 s")
        await drawing.started.wait()
        drawing.done.set()
        assert await request == "picture"
    assert ended == [(1, "diffusion", 0)]


async def test_a_reload_that_fails_is_tried_again() -> None:
    connection, drawing = FakeConnection(), Drawing()
    drawing.done.set()
    connection.process, connection.reload_fails = 0, 2
    async with watching(connection) as supervisor:
        assert await supervisor.carry(drawing) == "picture"
    assert connection.reloads == 3


async def test_a_request_that_kills_its_model_each_time_is_given_up() -> None:
    connection = FakeConnection()

    async def kill(guard: WatchedRequest) -> str:
        guard.heard()
        connection.process = 0
        raise ModelLost("the stream broke")

    async with watching(connection) as supervisor:
        with pytest.raises(Unavailable) as failed:
            await supervisor.carry(kill)
    assert failed.value.reason == "MODEL_LOST"
    assert connection.reloads <= 3


async def test_a_model_that_stays_away_fails_the_request_as_unavailable() -> None:
    connection = FakeConnection()
    connection.process, connection.failure = 0, ModelLost("connection refused", server=True)
    async with watching(connection, recovery=0.1) as supervisor:
        with pytest.raises(Unavailable) as failed:
            await supervisor.carry(Drawing())
        assert failed.value.reason == "MODEL_UNAVAILABLE"
        with pytest.raises(Unavailable):
            await supervisor.check()


async def test_a_silent_stream_is_begun_again_though_the_model_answers() -> None:
    connection, drawing = FakeConnection(), Drawing()
    async with watching(connection, silence=0.1) as supervisor:
        request = asyncio.create_task(supervisor.carry(drawing))
        await drawing.started.wait()
        drawing.started.clear()
        await drawing.started.wait()
        drawing.done.set()
        assert await request == "picture"


async def test_a_request_that_waits_its_turn_may_be_silent() -> None:
    connection, begun = FakeConnection(), []
    connection.queued = 5

    async def wait(guard: WatchedRequest) -> str:
        begun.append(guard)
        await time_passes(0.4, because="a request takes a while")
        return "picture"

    async with watching(connection, silence=0.1) as supervisor:
        assert await supervisor.carry(wait) == "picture"
    assert len(begun) == 1


async def test_the_callers_own_fault_is_not_tried_again() -> None:
    connection, begun = FakeConnection(), []

    async def refuse(guard: WatchedRequest) -> str:
        begun.append(guard)
        raise InvalidRequest("no such LoRA", reason="LORA_NOT_FOUND")

    async with watching(connection) as supervisor:
        with pytest.raises(InvalidRequest):
            await supervisor.carry(refuse)
    assert len(begun) == 1


async def test_cancelling_a_request_cancels_what_it_runs() -> None:
    connection, drawing = FakeConnection(), Drawing()
    async with watching(connection) as supervisor:
        request = asyncio.create_task(supervisor.carry(drawing))
        await drawing.started.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
    assert len(drawing.begun) == 1


class BrokenConnection(FakeConnection):
    """Its model answers from the beginning that it is broken, however often it is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.process, self.heals, self.failure = 0, False, NO_NUMBERS


async def test_a_model_that_never_worked_and_says_it_is_broken_fails_requests_at_once() -> None:
    async with watching(BrokenConnection()) as supervisor, asyncio.timeout(2):
        with pytest.raises(ModelUnusable) as failed:
            await supervisor.carry(Drawing())
        for ask in (supervisor.check, supervisor.ask):
            with pytest.raises(ModelUnusable):
                await ask()
    assert (failed.value.reason, failed.value.exhausted) == ("MODEL_UNAVAILABLE", True)
    assert failed.value.why == "the network answers no numbers"


async def test_what_could_not_be_loaded_is_told_to_callers_without_its_files() -> None:
    connection = BrokenConnection()
    connection.failure = ModelLost("Request for unknown model", refused=True)
    connection.model_state = ModelState("UNAVAILABLE", "Internal: /srv/models/unet is not the file")
    async with watching(connection) as supervisor, asyncio.timeout(2):
        with pytest.raises(ModelUnusable) as failed:
            await supervisor.carry(Drawing())
    assert "/srv" not in failed.value.message and "could not be loaded" in failed.value.message
    assert failed.value.detail == "Internal: /srv/models/unet is not the file"


async def test_a_broken_model_is_loaded_anew_after_pauses_that_double() -> None:
    connection = BrokenConnection()
    async with watching(connection):
        await time_passes(1.5, because="it would be loaded fifty times without pauses")
    assert 2 <= connection.reloads <= 6


async def test_a_model_that_has_worked_is_loaded_three_times_before_it_is_given_up() -> None:
    connection, drawing = FakeConnection(), Drawing()
    async with watching(connection) as supervisor, asyncio.timeout(5):
        request = asyncio.create_task(supervisor.carry(drawing))
        await drawing.started.wait()
        connection.process, connection.heals, connection.failure = 0, False, NO_NUMBERS
        with pytest.raises(ModelUnusable):
            await request
    assert 3 <= connection.reloads <= 4  # one more is tried as it is told


async def test_a_broken_model_that_works_again_serves_again() -> None:
    connection, drawing = BrokenConnection(), Drawing()
    drawing.done.set()
    async with watching(connection) as supervisor, asyncio.timeout(10):
        with pytest.raises(ModelUnusable):
            await supervisor.carry(drawing)
        connection.heals = True
        while connection.reloads == 0:
            await time_passes(0.05, because="it is loaded anew by and by")
        while True:
            try:
                assert await supervisor.carry(drawing) == "picture"
                break
            except ModelUnusable:
                await time_passes(0.05, because="the first canary is on its way")


async def test_pauses_begin_anew_once_a_model_has_answered_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reloads, "_STEADY_SECONDS", 0.1)
    plan = reloads.Reloads(0.02)
    for _ in range(10):
        plan.begun()
        plan.ended()
    assert plan.seconds_left > 1
    plan.well()
    await time_passes(0.2, because="it is to have answered for a while")
    plan.well()
    plan.begun()
    plan.ended()
    assert plan.seconds_left <= 0.02
