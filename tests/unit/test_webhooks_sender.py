"""The sender on a clock that a test turns: days pass in milliseconds."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from services.common.errors import IllegalTransition, NotFound, Unavailable
from services.webhooks.domain import SECOND, Delivery, DeliveryState, WebhookNotice
from services.webhooks.ports import EndpointResponse
from services.webhooks.retry_schedule import STEPS, RetrySchedule
from services.webhooks.sender import Sender, SenderLimits
from services.webhooks.service import WebhookService
from tests.fakes.webhooks import (
    BEGINNING,
    MemoryDeliveryRepository,
    MemoryEndpointRepository,
    MemorySecretRepository,
    ScriptedCourier,
    TurnedClock,
    run_until_quiet,
)
from tests.waiting import until

DAY = 86_400.0
WELL, ILL, GONE = EndpointResponse(200), EndpointResponse(500, "answered 500"), EndpointResponse(410, "answered 410")


class World:
    """A sender and the service beside it; `other` is a second replica over the same store."""

    def __init__(self, *answers: EndpointResponse) -> None:
        self.clock = TurnedClock()
        self.deliveries = MemoryDeliveryRepository()
        self.endpoints = MemoryEndpointRepository()
        self.transport = ScriptedCourier(*answers, clock=self.clock)
        self.leads = True
        self.sender = self.replica("one")
        self.service = WebhookService(
            self.deliveries,
            self.endpoints,
            MemorySecretRepository(),
            self.clock,
            overlap=SECOND,
            on_due=self.sender.offer,
        )

    def replica(self, owner: str, **limits: float) -> Sender:
        return Sender(
            self.deliveries,
            self.endpoints,
            self.transport,
            self.clock,
            lambda: self.leads,
            owner=owner,
            schedule=RetrySchedule(draw=lambda: 0.5),
            limits=SenderLimits(**{"look": 2 * DAY, **limits}),  # type: ignore[arg-type]  # numbers
        )

    async def record(self, number: int = 1, url: str = "https://hooks.example.com/a") -> str:
        event = f"t{number}.2"
        await self.service.record(WebhookNotice("acme", f"t{number}", event, "atelier.task.completed.v1", url, "{}"))
        return next(item.id for item in self.deliveries.stored.values() if (item.event_id, item.url) == (event, url))

    async def quiet(self) -> None:
        await run_until_quiet(self.sender, self.deliveries, self.clock)

    def of(self, delivery_id: str) -> Delivery:
        return self.deliveries.stored[delivery_id]


async def test_a_delivery_is_sent_at_once_and_once() -> None:
    world = World(WELL)
    name = await world.record()
    await world.quiet()
    assert world.transport.called == [(name, BEGINNING)]
    assert world.of(name).state is DeliveryState.DELIVERED


async def test_the_same_event_again_is_the_same_delivery() -> None:
    world = World(WELL)
    assert await world.record() == await world.record()
    await world.quiet()
    await world.record()
    await world.quiet()
    assert len(world.transport.called) == 1


async def test_three_days_of_failures_follow_the_steps_and_end_as_a_dead_letter() -> None:
    world = World(ILL)
    name = await world.record()
    await world.quiet()
    times = [at for _, at in world.transport.called]
    gaps = [(later - earlier) / SECOND for earlier, later in pairwise(times)]
    assert gaps == pytest.approx(STEPS[1:], abs=0.01)
    dead = world.of(name)
    assert (dead.state, dead.attempts, dead.reason) == (DeliveryState.DEAD, len(STEPS), "answered 500")
    assert [attempt.status for attempt in dead.history] == [500] * len(STEPS)


async def test_a_dead_letter_is_replayed_from_the_first_step_under_its_own_id() -> None:
    world = World(*[ILL] * len(STEPS), WELL)
    name = await world.record()
    await world.quiet()
    assert world.of(name).state is DeliveryState.DEAD
    replayed = await world.service.replay("acme", name)
    assert (replayed.state, replayed.attempts) == (DeliveryState.PENDING, 0)
    await world.quiet()
    assert world.of(name).state is DeliveryState.DELIVERED
    assert {called for called, _ in world.transport.called} == {name}


async def test_nobody_replays_what_is_another_tenants_or_being_sent() -> None:
    world = World(WELL)
    name = await world.record()
    with pytest.raises(NotFound):
        await world.service.replay("rival", name)
    world.transport.hold = asyncio.Event()
    await world.sender.turn()
    await _until_called(world)
    with pytest.raises(IllegalTransition):
        await world.service.replay("acme", name)
    world.transport.hold.set()
    await world.sender.settled()


async def test_a_server_that_says_when_to_come_back_is_not_asked_sooner() -> None:
    world = World(EndpointResponse(429, "answered 429", retry_after=90), WELL)
    await world.record()
    await world.quiet()
    assert world.transport.called[1][1] - world.transport.called[0][1] == 90 * SECOND


async def test_an_address_that_is_gone_hears_nothing_more_until_it_is_enabled() -> None:
    world = World(GONE, WELL)
    first = await world.record(1)
    await world.quiet()
    assert (world.of(first).state, world.of(first).reason) == (DeliveryState.SKIPPED, "answered 410")
    second = await world.record(2)
    elsewhere = await world.record(2, "https://hooks.example.com/b")
    await world.quiet()
    assert world.of(second).state is DeliveryState.SKIPPED and "410 Gone" in str(world.of(second).reason)
    assert world.of(elsewhere).state is DeliveryState.DELIVERED
    await world.service.enable("acme", "https://hooks.example.com/a")
    third = await world.record(3)
    await world.service.replay("acme", second)
    await world.quiet()
    assert world.of(third).state is world.of(second).state is DeliveryState.DELIVERED
    with pytest.raises(NotFound):
        await world.service.enable("acme", "https://hooks.example.com/a")


async def test_few_go_to_one_host_at_a_time_and_it_keeps_nobody_else_waiting() -> None:
    world = World(WELL)
    world.transport.hold = asyncio.Event()
    for number in range(600):
        await world.record(number, "https://slow.example.com/")
    other = await world.record(0, "https://fast.example.com/")
    await world.sender.turn()
    await _until_called(world, 5)
    assert other in [name for name, _ in world.transport.called]
    assert world.transport.most_at_once == 5
    world.transport.hold.set()
    await world.quiet()
    assert sorted(name for name, _ in world.transport.called) == sorted(world.deliveries.stored)


@pytest.mark.parametrize("apart", [0.0, 0.001])
async def test_a_backlog_found_at_the_start_is_sent_once_each_whatever_fits_into_memory(apart: float) -> None:
    world = World(WELL)
    world.leads = False
    for number in range(1_500):
        world.clock.turn(apart)
        await world.record(number, f"https://h{number % 3}.example.com/")
    world.leads = True
    await world.quiet()
    assert sorted(name for name, _ in world.transport.called) == sorted(world.deliveries.stored)


async def test_two_replicas_never_send_the_same_delivery_at_the_same_time() -> None:
    world = World(WELL)
    world.transport.hold = asyncio.Event()
    await world.record()
    other = world.replica("two")
    await asyncio.gather(world.sender.turn(), other.turn())
    await _until_called(world)
    world.clock.turn(24.0)
    await other.turn()
    assert len(world.transport.called) == 1
    world.transport.hold.set()
    await asyncio.gather(world.sender.settled(), other.settled())
    assert len(world.transport.called) == 1


async def test_what_a_dead_replica_was_sending_is_sent_again_but_not_before_its_call_must_be_over() -> None:
    world = World(WELL)
    world.transport.hold = asyncio.Event()
    name = await world.record()
    await world.sender.turn()
    await _until_called(world)
    await world.sender.close(0)  # killed: it never says what came of it
    world.transport.hold = None
    successor = world.replica("two")
    begun = world.clock.now()
    while len(world.transport.called) < 2:
        world.clock.turn(await successor.turn())
        await successor.settled()
    assert world.transport.called[1][0] == name
    assert (world.transport.called[1][1] - begun) / SECOND > SenderLimits().patience
    assert world.of(name).state is DeliveryState.DELIVERED


async def test_who_does_not_lead_sends_nothing() -> None:
    world = World(WELL)
    world.leads = False
    await world.record()
    await world.sender.turn()
    await world.sender.settled()
    assert world.transport.called == []


async def test_a_claim_that_took_too_long_is_not_acted_upon() -> None:
    world = World(WELL)
    name = await world.record()
    save = world.deliveries.save

    async def slow(delivery: Delivery) -> bool:
        world.clock.turn(6.0)
        return await save(delivery)

    world.deliveries.save = slow  # type: ignore[method-assign]  # a store that is slow
    await world.sender.turn()
    await world.sender.settled()
    assert world.transport.called == []
    assert world.of(name).state is DeliveryState.SENDING


async def test_a_result_the_store_does_not_take_is_not_the_end_of_the_delivery() -> None:
    world = World(WELL)
    name = await world.record()
    save, failing = world.deliveries.save, True

    async def away(delivery: Delivery) -> bool:
        if failing and delivery.state is DeliveryState.DELIVERED:
            raise Unavailable("the store cannot be reached")
        return await save(delivery)

    world.deliveries.save = away  # type: ignore[method-assign]  # a store that goes away between two writes
    await world.sender.turn()
    await world.sender.settled()
    failing = False
    await world.quiet()
    assert [called for called, _ in world.transport.called] == [name, name]
    assert world.of(name).state is DeliveryState.DELIVERED


async def test_what_is_over_is_removed_when_its_time_has_come() -> None:
    world = World(WELL)
    name = await world.record()
    await world.quiet()
    world.clock.turn(2.9 * DAY)
    await world.sender.turn()
    assert name in world.deliveries.stored
    world.clock.turn(0.2 * DAY)
    await world.sender.turn()
    assert world.deliveries.stored == {}


async def _until_called(world: World, count: int = 1) -> None:
    await until(lambda: len(world.transport.called) >= count, 5)
