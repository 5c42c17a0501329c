"""When a sender looks again, what it keeps and for how long, and how it ends."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from services.common.errors import Unavailable
from services.webhooks.domain import SECOND, Delivery, DeliveryState, WebhookNotice, new_delivery
from services.webhooks.ports import EndpointResponse
from services.webhooks.sender import Sender
from tests.fakes.webhooks import BEGINNING
from tests.unit.test_webhooks_sender import DAY, GONE, ILL, WELL, World
from tests.waiting import turns, until

URL = "https://hooks.example.com/a"


def stored(world: World, number: int = 1, *, after: float = 0.0) -> Delivery:
    """One that another process wrote: nobody offers it."""
    notice = WebhookNotice("acme", f"t{number}", f"t{number}.2", "atelier.task.completed.v1", URL, "{}")
    delivery = replace(new_delivery(notice, BEGINNING), due=world.clock.now() + int(after * SECOND))
    world.deliveries.stored[delivery.id] = delivery
    return delivery


async def sent(sender: Sender) -> float:
    pause = await sender.turn()
    await sender.settled()
    return pause


async def test_where_nothing_is_due_a_sender_looks_again_at_its_pace() -> None:
    world = World(WELL)
    assert await world.replica("two", look=5.0).turn() == 5.0


async def test_a_sender_looks_again_when_the_next_is_due() -> None:
    world = World(WELL)
    sender = world.replica("two", look=5.0)
    stored(world, after=3.0)
    assert await sender.turn() == 3.0
    world.clock.turn(3.0)
    await sent(sender)
    assert len(world.transport.called) == 1


async def test_a_sender_that_does_not_lead_asks_within_a_second_whether_it_does() -> None:
    world = World(WELL)
    world.leads = False
    assert await world.replica("two", look=5.0).turn() <= 1.0
    assert await world.replica("two", look=0.5).turn() == 0.5


async def test_another_ones_claim_is_looked_at_every_second_until_its_patience_is_over() -> None:
    world = World(WELL)
    claimed = stored(world).claimed("dead", until=BEGINNING)
    world.deliveries.stored[claimed.id] = claimed
    sender = world.replica("two", look=5.0, patience=25.0)
    assert await sender.turn() == 1.0
    for seconds in (10.0, 15.0):
        world.clock.turn(seconds)
        sender.wake()
        await sent(sender)
        assert not world.transport.called
    world.clock.turn(0.1)
    await sent(sender)
    assert len(world.transport.called) == 1
    assert await sender.turn() == 5.0, "nothing is watched any longer"


async def test_a_claim_that_moves_is_somebodys_and_is_watched_anew() -> None:
    world = World(WELL)
    claimed = stored(world).claimed("alive", until=BEGINNING)
    world.deliveries.stored[claimed.id] = claimed
    sender = world.replica("two", look=5.0, patience=25.0)
    await sender.turn()
    world.clock.turn(20.0)
    again = claimed.claimed("alive", until=world.clock.now())
    world.deliveries.stored[claimed.id] = again
    sender.wake()
    await sender.turn()
    world.clock.turn(20.0)
    await sent(sender)
    assert not world.transport.called


async def test_a_claim_that_ended_while_it_was_watched_is_left_alone() -> None:
    world = World(WELL)
    claimed = stored(world).claimed("alive", until=BEGINNING)
    world.deliveries.stored[claimed.id] = claimed
    sender = world.replica("two", look=5.0, patience=25.0)
    await sender.turn()
    del world.deliveries.stored[claimed.id]
    world.clock.turn(26.0)
    await sent(sender)
    assert not world.transport.called


async def test_what_another_process_wrote_into_the_past_is_found_within_half_a_minute() -> None:
    world = World(WELL)
    sender = world.replica("two", look=5.0)
    await sender.turn()
    world.clock.turn(10.0)
    await sender.turn()
    stored(world, after=-5.0)
    await sent(sender)
    assert not world.transport.called
    world.clock.turn(20.0)
    await sent(sender)
    assert not world.transport.called
    world.clock.turn(0.1)
    await sent(sender)
    assert len(world.transport.called) == 1


async def test_whoever_is_woken_looks_at_everything_again() -> None:
    world = World(WELL)
    sender = world.replica("two", look=5.0)
    await sender.turn()
    world.clock.turn(10.0)
    await sender.turn()
    stored(world, after=-5.0)
    sender.wake()
    await sent(sender)
    assert len(world.transport.called) == 1


async def test_who_begins_to_lead_looks_at_everything_and_at_nothing_of_before() -> None:
    world = World(WELL)
    sender = world.replica("two", look=5.0, per_host=0)
    await sender.turn()
    stored(world, 1)
    sender.wake()
    await sender.turn()
    world.leads = False
    await sender.turn()
    world.deliveries.stored.clear()
    late = stored(world, 2, after=-5.0)
    world.leads = True
    sender._limits = replace(sender._limits, per_host=4)
    await sent(sender)
    assert [name for name, _ in world.transport.called] == [late.id]


@pytest.mark.parametrize(
    ("answer", "state", "kept"),
    [(WELL, DeliveryState.DELIVERED, 3 * DAY), (GONE, DeliveryState.SKIPPED, 30 * DAY)],
)
async def test_what_is_over_is_kept_for_so_long(answer: EndpointResponse, state: DeliveryState, kept: float) -> None:
    world = World(answer)
    name = stored(world).id
    await sent(world.sender)
    ended = world.of(name)
    assert (ended.state, ended.due) == (state, world.clock.now() + int(kept * SECOND))
    assert len(ended.history) == 1


async def test_a_dead_letter_is_kept_for_a_month() -> None:
    world = World(ILL)
    name = stored(world).id
    await world.quiet()
    dead = world.of(name)
    assert dead.state is DeliveryState.DEAD
    assert dead.due == dead.history[-1].at + int(30 * DAY * SECOND)


async def test_what_goes_to_an_address_that_is_gone_is_skipped_without_a_call_and_kept_for_a_month() -> None:
    world = World(GONE)
    stored(world, 1)
    await sent(world.sender)
    [endpoint] = world.endpoints.stored.values()
    assert (endpoint.tenant, endpoint.url, endpoint.disabled_at) == ("acme", URL, world.clock.now())
    name = stored(world, 2).id
    await world.sender.turn()
    world.sender.wake()
    await sent(world.sender)
    assert (world.of(name).state, len(world.transport.called)) == (DeliveryState.SKIPPED, 1)
    assert world.of(name).due == world.clock.now() + int(30 * DAY * SECOND)


async def test_how_long_a_call_took_is_kept_with_what_was_answered() -> None:
    world = World(ILL)
    name, call = stored(world).id, world.transport.call

    async def slow(delivery: Delivery) -> EndpointResponse:
        world.clock.turn(1.25)
        return await call(delivery)

    world.transport.call = slow  # type: ignore[method-assign]
    await sent(world.sender)
    [attempt] = world.of(name).history
    assert (attempt.at, attempt.duration, attempt.status, attempt.error) == (BEGINNING, 1.25, 500, "answered 500")


async def test_a_claim_says_until_when_nobody_need_look_after_it() -> None:
    world = World(WELL)
    world.transport.hold = asyncio.Event()
    name = stored(world).id
    sender = world.replica("two", margin=7.0)
    await sender.turn()
    await until(lambda: world.transport.called)
    claimed = world.of(name)
    assert (claimed.state, claimed.owner) == (DeliveryState.SENDING, "two")
    assert claimed.due == world.clock.now() + 7 * SECOND
    assert sender.under_way == 1
    world.transport.hold.set()
    await sender.settled()


async def test_a_claim_that_took_its_whole_margin_is_not_acted_upon() -> None:
    world = World(WELL)
    stored(world)
    save = world.deliveries.save

    async def slow(delivery: Delivery) -> bool:
        world.clock.turn(5.0)
        return await save(delivery)

    world.deliveries.save = slow  # type: ignore[method-assign]
    await sent(world.replica("two", margin=5.0))
    assert not world.transport.called


async def test_who_leads_no_more_by_the_time_it_would_claim_sends_nothing() -> None:
    world = World(WELL)
    name = stored(world).id
    find = world.endpoints.get

    async def deposed(endpoint_id: str) -> object:
        world.leads = False
        return await find(endpoint_id)

    world.endpoints.get = deposed  # type: ignore[method-assign, assignment]
    await sent(world.sender)
    assert (world.transport.called, world.of(name).state) == ([], DeliveryState.PENDING)


async def test_what_is_offered_goes_out_before_anybody_looks() -> None:
    world = World(WELL)
    delivery = stored(world)
    world.sender.offer(delivery)
    await world.sender.settled()
    assert [name for name, _ in world.transport.called] == [delivery.id]


async def test_nothing_is_offered_to_one_that_does_not_lead() -> None:
    world = World(WELL)
    delivery = stored(world)
    world.leads = False
    world.sender.offer(delivery)
    world.leads = True
    await turns(5)
    assert (world.sender.under_way, world.transport.called) == (0, [])


async def test_what_fails_on_our_side_keeps_its_place_for_a_second_and_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(WELL)
    slept = list[float]()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("asyncio.sleep", sleep)
    name, save = stored(world).id, world.deliveries.save

    async def away(delivery: Delivery) -> bool:
        raise Unavailable("the store cannot be reached")

    world.deliveries.save = away  # type: ignore[method-assign]
    await sent(world.sender)
    assert slept == [1.0]
    world.deliveries.save = save  # type: ignore[method-assign]
    await sent(world.sender)
    assert world.of(name).state is DeliveryState.DELIVERED


async def test_what_is_being_sent_may_end_before_the_process_does() -> None:
    world = World(WELL)
    world.transport.hold = asyncio.Event()
    name = stored(world).id
    sender = world.replica("two", everywhere=1)
    waiting = stored(world, 2).id
    await sender.turn()
    await until(lambda: world.transport.called)
    closing = asyncio.create_task(sender.close(5.0))
    await turns(5)
    assert not closing.done()
    world.transport.hold.set()
    await closing
    assert world.of(name).state is DeliveryState.DELIVERED
    assert world.of(waiting).state is DeliveryState.PENDING


async def test_a_call_that_outlasts_its_process_is_cut_off() -> None:
    world = World(WELL)
    world.transport.hold = asyncio.Event()
    name = stored(world).id
    await world.sender.turn()
    await until(lambda: world.transport.called)
    await world.sender.close(0.01)
    assert (world.transport.calls_now, world.of(name).state) == (0, DeliveryState.SENDING)
    await world.replica("two").close(5.0)  # nothing was being sent
