"""The step cache on a store, tasks and files that outlive its processes: hits, waiters, leaders that go, and deaths."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.catalog.enums import CacheMode
from services.catalog.schemas import ALL_SCHEMAS
from services.common.errors import InvalidRequest
from services.workflows.cache_records import CacheRecord
from services.workflows.cache_store import MongoCacheRepository
from services.workflows.domain import SECOND
from services.workflows.files import folder_of
from services.workflows.ports import NewStepTask, StepName, StepTask
from services.workflows.preparation import PreparedTasks
from tests.fakes.mongo import Database, DiedError, Life
from tests.unit.step_cache_world import MODELS, TENANT, World, idle
from tests.waiting import until


def step(
    workflow: str, name: str = "draw", attempt: int = 1, cache: CacheMode | None = None, **params: Any
) -> NewStepTask:
    fields = {"origin_instance": workflow, "task_type": "GENERATION", "prompt": "a red mug", "seed": 7, **params}
    task = ALL_SCHEMAS["GENERATION"].create.model_validate(fields)
    return NewStepTask(StepName(workflow, name, attempt), task, True, 3, None, cache)


async def begun(process: PreparedTasks, *wanted: NewStepTask) -> None:
    """Once everything that follows from asking is done."""
    assert not await process.create(TENANT, wanted)
    await until(lambda: idle(process))


async def ended(process: PreparedTasks, name: StepName) -> None:
    process.heard(name)
    await until(lambda: idle(process))


async def got(process: PreparedTasks, new: NewStepTask) -> StepTask | None:
    return (await process.get(TENANT, [new.name])).get(new.name)


@pytest.mark.field("cache-outlives-its-files")
async def test_the_same_again_is_given_copies_of_its_own() -> None:
    world, first, second = World(), step("w1"), step("w2")
    process = world.process()
    await begun(process, first)
    world.end(first.name)
    await ended(process, first.name)
    await begun(process, second)
    hit = await got(process, second)
    assert hit is not None and hit.cached and hit.result is not None
    path = hit.result["result_image_path"]
    assert path.startswith(f"{folder_of('w2')}steps/draw/") and world.objects.kept[TENANT, path] == b"picture"
    assert list(world.made) == [first.name] and second.name in world.woken
    found = (await world.cache.hits([second.name]))[second.name]
    assert (found.made_by, found.seconds, found.cost_usd) == (first.name, 12.0, 0.04)
    # the one that made it is cleaned up: the copy answers the next
    for place in [place for place in world.objects.kept if "task-w1" in place[1]]:
        del world.objects.kept[place]
    third = step("w3")
    await begun(process, third)
    assert (again := await got(process, third)) is not None and again.cached
    # nothing is left: it is made anew
    world.objects.kept.clear()
    fourth = step("w4")
    await begun(process, fourth)
    assert await got(process, fourth) == StepTask(over=False)


async def test_a_file_that_is_another_one_by_now_is_not_given() -> None:
    world, first, second = World(), step("w1"), step("w2")
    process = world.process()
    await begun(process, first)
    world.end(first.name)
    await ended(process, first.name)
    for place in world.objects.kept:
        world.objects.kept[place] = b"another picture"
    await begun(process, second)
    assert world.alive == [second.name]


@pytest.mark.field("cache-stampede")
async def test_identical_work_under_way_is_done_once_and_given_to_all() -> None:
    world, wanted = World(), [step("w1", f"fan[{number}]") for number in range(20)]
    process, other = world.process(), step("w2")
    await begun(process, *wanted)
    await begun(process, other)
    assert world.alive == [wanted[0].name]
    world.end(wanted[0].name)
    await ended(process, wanted[0].name)
    for new in [*wanted[1:], other]:
        task = await got(process, new)
        assert task is not None and task.cached, new.name
    assert sum(world.made.values()) == 1


@pytest.mark.field("cache-leader-cancelled")
async def test_work_is_cancelled_only_with_the_last_who_waits_for_it() -> None:
    world, leader, one, two = World(), step("w1"), step("w2"), step("w3")
    process = world.process()
    await begun(process, leader)
    await begun(process, one)
    await begun(process, two)
    await process.cancel(TENANT, [leader.name])
    assert world.alive == [leader.name], "others wait for it"
    await process.cancel(TENANT, [one.name])
    assert world.alive == [leader.name]
    await world.process().cancel(TENANT, [two.name])  # another process, which has seen nobody wait
    assert not world.alive


@pytest.mark.field("cache-waiter-cancelled-elsewhere")
async def test_whoever_is_cancelled_elsewhere_keeps_no_work_going() -> None:
    world, leader, waiter = World(), step("w1"), step("w2")
    await begun(world.process(), leader, waiter)
    world.over.add("w2")
    await world.process().cancel(TENANT, [waiter.name])
    assert world.alive == [leader.name]
    world.over.add("w1")
    await world.process().cancel(TENANT, [leader.name])
    assert not world.alive


@pytest.mark.field("cache-waiter-cancelled-elsewhere")
async def test_who_joins_once_it_is_cancelled_keeps_no_work_going() -> None:
    """What it wrote as it was cancelled came late."""
    world, leader, waiter, late = World(), step("w1"), step("w2"), step("w3")
    process = world.process()
    await begun(process, leader, waiter)
    world.over |= {"w1", "w3"}
    await process.cancel(TENANT, [leader.name])
    await process.cancel(TENANT, [late.name])
    await begun(world.process(), late)
    await world.cache.sweep()
    assert world.alive == [leader.name], "one still waits"
    world.over.add("w2")  # whoever was to say so died
    await world.cache.sweep()
    assert not world.alive


@pytest.mark.field("cache-waiter-cancelled-elsewhere")
async def test_at_every_place_of_a_cancel_a_death_leaves_nothing_alive() -> None:
    for steps_left in range(1, 16):
        world, leader, waiter = World(), step("w1"), step("w2")
        await begun(world.process(), leader, waiter)
        for new in (leader, waiter):
            world.over.add(new.name.workflow_id)
            with suppress(DiedError):
                await world.process(steps_left).cancel(TENANT, [new.name])
            await world.process().cancel(TENANT, [new.name])  # its head still says so
        assert not world.alive, steps_left


async def test_a_leader_whose_workflow_went_still_serves_those_who_wait_and_is_cleaned_up_then() -> None:
    world, leader, waiter = World(), step("w1"), step("w2")
    process = world.process()
    await begun(process, leader)
    await begun(process, waiter)
    await process.cancel(TENANT, [leader.name])
    _, told = await process.clean(TENANT, leader.name)
    assert told and world.alive == [leader.name]
    world.end(leader.name)
    await ended(process, leader.name)
    assert (task := await got(process, waiter)) is not None and task.cached
    world.now += 120 * SECOND
    await world.cache.sweep()
    assert leader.name in world.tasks.cleaned


@pytest.mark.field("cache-failure-kept")
async def test_a_failure_is_not_kept_and_one_of_those_who_waited_tries_itself() -> None:
    world, leader = World(), step("w1")
    waiters = [step(f"w{number}") for number in range(2, 6)]
    process = world.process()
    await begun(process, leader)
    for waiter in waiters:
        await begun(process, waiter)
    world.end(leader.name, good=False)
    await ended(process, leader.name)
    assert len(world.alive) == 1, "one, and not all of them"
    (promoted,) = world.alive
    world.end(promoted)
    await ended(process, promoted)
    rest = [waiter for waiter in waiters if waiter.name != promoted]
    assert all([(task := await got(process, waiter)) is not None and task.cached for waiter in rest])
    assert sum(world.made.values()) == 2


@pytest.mark.field("cache-key-by-model")
async def test_what_another_model_made_meanwhile_is_kept_for_nobody() -> None:
    world, first, second = World(), step("w1"), step("w2")
    process = world.process()
    await begun(process, first)
    world.models = [("diffusion", "starter", "bb")]
    world.end(first.name)
    await ended(process, first.name)
    world.models = MODELS
    await begun(process, second)
    assert world.alive == [second.name]


async def test_what_a_fallback_made_is_kept_for_nobody() -> None:
    world, first, second = World(), step("w1"), step("w2")
    process = world.process()
    await begun(process, first)
    world.end(first.name, fell_back=True)
    await ended(process, first.name)
    await begun(process, second)
    assert world.alive == [second.name]


@pytest.mark.field("cache-across-tenants")
async def test_another_tenant_is_given_nothing() -> None:
    world, first, second = World(), step("w1"), step("w2")
    process = world.process()
    await begun(process, first)
    world.end(first.name)
    await ended(process, first.name)
    assert not await process.create("rival", [second])
    await until(lambda: idle(process))
    assert world.alive == [second.name]


@pytest.mark.field("cache-leader-never-came")
async def test_who_waits_for_a_task_that_never_comes_takes_over() -> None:
    world, leader, waiter = World(), step("w1"), step("w2")
    record = CacheRecord(TENANT, await key_of(world, leader))
    process = world.process()
    database: Any = Database(world.store, Life())
    assert await MongoCacheRepository(database).save(record.led_by(leader.name, [], world.now))
    await begun(process, waiter)
    assert not world.alive, "it may come yet"
    world.now += 31 * SECOND
    await begun(process, waiter)
    assert world.alive == [waiter.name]


async def key_of(world: World, new: NewStepTask) -> str:
    world.process()
    identity = await world.cache._identities.of(TENANT, new.task_type, new.task)
    assert identity is not None
    return identity.key


async def test_off_and_refresh_do_as_they_say() -> None:
    world, first = World(), step("w1")
    process = world.process()
    await begun(process, first)
    world.end(first.name)
    await ended(process, first.name)
    off, anew = step("w2", cache=CacheMode.OFF), step("w3", cache=CacheMode.REFRESH)
    await begun(process, off)
    await begun(process, anew)
    assert set(world.alive) == {off.name, anew.name}
    world.end(anew.name)
    await ended(process, anew.name)
    last = step("w4")
    await begun(process, last)
    assert (await world.cache.hits([last.name]))[last.name].made_by == anew.name


@pytest.mark.field("cache-random-without-seed")
async def test_what_draws_at_random_without_a_seed_is_given_only_where_somebody_asks_for_it() -> None:
    def words(workflow: str, cache: CacheMode | None = None) -> NewStepTask:
        fields = {"origin_instance": "t", "task_type": "LLM_INTERACTION", "prompt": "a haiku"}
        task = ALL_SCHEMAS["LLM_INTERACTION"].create.model_validate(fields)
        return NewStepTask(StepName(workflow, "write", 1), task, True, 3, None, cache)

    world = World()
    process, plain, first, second = world.process(), words("w1"), words("w2", CacheMode.USE), words("w3", CacheMode.USE)
    await begun(process, plain)
    await begun(process, first)
    await begun(process, second)
    assert world.alive == [plain.name, first.name]


async def test_a_refused_leader_fails_alone_and_leaves_the_work_to_others() -> None:
    world, leader, other = World(), step("w1"), step("w2")
    process = world.process()
    world.tasks.refuse["draw"] = InvalidRequest("no such queue", reason="QUEUE_UNKNOWN")
    await begun(process, leader)
    assert (task := await got(process, leader)) is not None and task.reason == "QUEUE_UNKNOWN"
    world.tasks.refuse.clear()
    await begun(process, other)
    assert world.alive == [other.name]


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_whatever_dies_everybody_gets_a_picture_and_nothing_is_made_twice_at_once(data: st.DataObject) -> None:
    """Processes die between any two commands; whoever comes next asks again for what has neither task nor hit."""

    async def lived() -> None:
        world, wanted = World(), [step(f"w{number}") for number in range(4)]
        settled: set[StepName] = set()
        for _ in range(data.draw(st.integers(1, 6))):
            process = world.process(data.draw(st.integers(1, 40)))
            with suppress(DiedError):
                await asked(world, process, wanted, data.draw(st.booleans()))
            await process.close()
            world.now += 20 * SECOND
        process = world.process()
        for _ in range(8):
            await asked(world, process, wanted, True)
            world.now += 20 * SECOND
        for new in wanted:
            task = await got(process, new)
            assert task is not None and task.over and task.result is not None, new.name
            path = task.result["result_image_path"]
            assert world.objects.kept[TENANT, path] == b"picture"
            settled.add(new.name)
        assert len(settled) == len(wanted)
        assert all(count == 1 for count in world.made.values())

    asyncio.run(lived())


async def asked(world: World, process: PreparedTasks, wanted: list[NewStepTask], finish: bool) -> None:
    """As the engine does when it looks at everything, and as a worker does."""
    for new in wanted:
        if await got(process, new) is None:
            await begun(process, new)
    if finish:
        for name in world.alive:
            world.end(name)
            await ended(process, name)
