"""How many calls a sender makes at a time, in all and to one host, and that it wakes for what comes."""

from __future__ import annotations

import asyncio

from services.webhooks.domain import DeliveryState
from services.webhooks.metrics import CALLS
from services.webhooks.sender import Sender
from tests.unit.test_webhooks_sender import WELL, World
from tests.waiting import turns, until


async def recorded(world: World, hosts: list[str]) -> list[str]:
    return [await world.record(number, f"https://{host}/a") for number, host in enumerate(hosts)]


def waiting_world(**limits: float) -> tuple[World, Sender]:
    """Its calls are held until the test lets them go; what it is offered goes to the second sender."""
    world = World(WELL)
    world.transport.hold = asyncio.Event()
    return world, world.replica("two", **limits)


async def let_go(world: World, sender: Sender) -> None:
    assert world.transport.hold is not None
    world.transport.hold.set()
    for _ in range(20):
        await sender.turn()
        await sender.settled()


async def test_no_more_calls_are_made_at_a_time_than_everywhere_allows() -> None:
    world, sender = waiting_world(everywhere=3)
    world.leads = False  # nothing is offered to the first
    names = await recorded(world, [f"h{number}.example" for number in range(7)])
    world.leads = True
    await sender.turn()
    await until(lambda: world.transport.calls_now == 3)
    await turns(20)
    assert (world.transport.calls_now, sender.under_way) == (3, 3)
    await let_go(world, sender)
    assert sorted(name for name, _ in world.transport.called) == sorted(names)
    assert world.transport.most_at_once == 3 and sender.under_way == 0


async def test_a_host_has_its_share_and_others_pass_it_by() -> None:
    world, sender = waiting_world(everywhere=10, per_host=2)
    world.leads = False
    names = await recorded(world, ["slow.example"] * 5 + ["quick.example"])
    world.leads = True
    await sender.turn()
    await until(lambda: world.transport.calls_now == 3)
    await turns(20)
    assert sorted(names.index(name) for name, _ in world.transport.called) == [0, 1, 5]
    await let_go(world, sender)
    assert len(world.transport.called) == 6
    assert not sender._hosts  # nothing is counted for whoever is called no more


async def test_one_call_that_ends_frees_one_place_of_its_host() -> None:
    world, sender = waiting_world(per_host=2)
    world.leads = False
    names = await recorded(world, ["slow.example"] * 4)
    world.leads = True
    await sender.turn()
    await until(lambda: world.transport.calls_now == 2)
    sender._running[names[0]].cancel()
    await until(lambda: world.transport.calls_now == 2 and len(world.transport.called) == 3)
    await turns(20)
    assert world.transport.calls_now == 2
    await let_go(world, sender)
    assert world.transport.most_at_once == 2


async def test_a_sender_that_runs_wakes_for_what_is_due_and_counts_its_calls() -> None:
    world = World(WELL)
    before = CALLS.value(DeliveryState.DELIVERED.value)
    world.leads = False
    name = await world.record()
    running = asyncio.create_task(world.sender.run())
    await turns(20)
    assert world.transport.called == []
    world.leads = True
    world.sender.wake()
    await until(lambda: world.of(name).state is DeliveryState.DELIVERED)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert CALLS.value(DeliveryState.DELIVERED.value) == before + 1
