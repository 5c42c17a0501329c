"""Random lives of workflows over two replicas: processes die, stop and wake between any two commands, notices are lost,
doubled and late, callers pause, resume, cancel, fork, decide and clean up at any moment."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.catalog.enums import CacheMode, Comparison, GateTimeout, JoinPolicy, TransformType
from services.common.errors import InvalidRequest, Overloaded
from services.workflows.definition import (
    ApprovalGate,
    Condition,
    Definition,
    FanOut,
    InputMapping,
    OnFailure,
    StepDefinition,
)
from services.workflows.domain import SECOND, Decision
from services.workflows.validation import check_definition
from tests.fakes.mongo import DiedError
from tests.reliability.workflow_world import TENANT, Process, WorkflowWorld, check_end, heal

LIVES = int(os.environ.get("WORKFLOW_LIVES", "3000"))
Act: TypeAlias = Callable[[Process], Awaitable[object]]
_VERBS = ("advance", "sweep", "notice", "pause", "resume", "cancel", "decide", "fork", "clean", "update")
_WHAT = st.sampled_from(
    [*_VERBS, *("advance", "notice", "notice", "sweep", "resume", "decide"), *("end",) * 8, "delete", "refuse", "wake"]
)
_RARE = ("clean", "fork")
_GATES = st.builds(ApprovalGate, timeout=st.sampled_from([30, 86_400]), on_timeout=st.sampled_from(list(GateTimeout)))
_FANS = st.builds(
    lambda width, join: FanOut(
        "payload",
        items=tuple(f"item {number}" for number in range(width)),
        join=join,
        quorum=max(1, width // 2) if join is JoinPolicy.QUORUM else 0,
    ),
    st.integers(1, 4),
    st.sampled_from(list(JoinPolicy)),
)


@st.composite
def definitions(draw: st.DrawFn) -> Definition:
    """Each step takes what its first predecessor made, some also how many the second one made."""
    count = draw(st.integers(1, 6))
    fans = {number: draw(_FANS) for number in draw(st.sets(st.integers(0, count - 1), max_size=2))}
    steps = []
    for number in range(count):
        before = sorted(draw(st.sets(st.integers(0, number - 1), max_size=3))) if number else []
        step = StepDefinition(f"s{number}", "DIAGNOSTIC", depends_on=tuple(f"s{place}" for place in before))
        steps.append(_fed(step, number, before, fans, draw(st.integers(0, 9))))
        if draw(st.integers(0, 4)) == 0:
            steps[-1] = replace(steps[-1], gate=draw(_GATES))
    return Definition(tuple(steps), {"on_failure": draw(st.sampled_from(list(OnFailure))).value})


def _fed(step: StepDefinition, number: int, before: list[int], fans: dict[int, FanOut], chance: int) -> StepDefinition:
    each, first = fans.get(number), f"s{before[0]}" if before else ""
    mapped = []
    if each is not None and before and before[0] in fans:
        each = replace(each, items=None, from_step=first, from_field="payload", quorum=min(each.quorum, 1))
    elif each is None and before and before[0] in fans:
        mapped.append(InputMapping(first, "payload", "payload", TransformType.JOIN, {"separator": ","}))
    elif each is None and before:
        mapped.append(InputMapping(first, "payload", "payload"))
    if before[1:2] and before[1] in fans:
        mapped.append(InputMapping(f"s{before[1]}", "payload", "duration_ms", TransformType.LENGTH))
    given: dict[str, Any] = {} if before or each else {"payload": f"of s{number}"}
    op = Comparison.EQ if chance == 0 else Comparison.NE
    condition = Condition(f"s{before[-1]}", "payload", op, "never") if before and chance < 3 else None
    return replace(step, given=given, mappings=tuple(mapped), for_each=each, run_if=condition)


def chosen(world: WorkflowWorld, data: st.DataObject, workflow_id: str) -> Act | None:
    """What one replica does next; None where that is nothing, or was done at once by somebody else."""
    what = data.draw(_WHAT)
    if what in _RARE and data.draw(st.booleans()):
        what = "advance"
    step_id = f"s{data.draw(st.integers(0, len(world.heads[workflow_id].rows) - 1))}"
    if what in ("end", "delete", "refuse", "wake"):
        _elsewhere(world, data, what, step_id)
        return None
    acts: dict[str, Act] = {
        "sweep": lambda process: process.sweep(),
        "advance": lambda process: process.advance(workflow_id),
        "decide": partial(_decide, workflow_id, step_id, Decision(data.draw(st.booleans()), "ada", 0)),
        "fork": lambda process: world.fork(process, workflow_id, step_id),
        "clean": lambda process: process.service.clean(TENANT, workflow_id, tasks=True),
        "update": lambda process: process.service.update(TENANT, workflow_id, {"name": str(world.now)}),
        "notice": _notice(world, data),
    }
    return acts.get(what) or (lambda process: getattr(process.service, what)(TENANT, workflow_id))


async def _decide(workflow_id: str, step_id: str, decision: Decision, process: Process) -> object:
    return await process.service.signal(TENANT, workflow_id, step_id, decision)


def _notice(world: WorkflowWorld, data: st.DataObject) -> Act:
    """Some of those that came, in any order, some of them to come once more; of one workflow in a turn."""
    if not world.notices:
        return lambda process: process.sweep()
    first = data.draw(st.sampled_from(world.notices))
    news = {name for name in world.notices if name.workflow_id == first.workflow_id}
    if data.draw(st.booleans()):
        world.notices = [name for name in world.notices if name not in news]
    told = world.told(news) if data.draw(st.booleans()) else {}
    return lambda process: process.advance(first.workflow_id, news, told)


def _elsewhere(world: WorkflowWorld, data: st.DataObject, what: str, step_id: str) -> None:
    alive = world.tasks.alive
    if what == "wake" or (what == "delete" and not alive):
        return
    if what == "refuse":
        errors = [InvalidRequest("no", reason="NO"), Overloaded("full", reason="QUEUE_FULL", retry_after=1.0)]
        world.tasks.refuse[step_id] = data.draw(st.sampled_from(errors))
    elif what == "delete":
        world.tasks.delete(data.draw(st.sampled_from(alive)))
    else:
        for name in alive[: data.draw(st.integers(1, 4))]:
            world.end(name, good=data.draw(st.integers(0, 4)) > 0, notices=data.draw(st.integers(0, 2)))


async def act(world: WorkflowWorld, data: st.DataObject) -> None:
    world.now += data.draw(st.sampled_from([0, 0, SECOND, 20 * SECOND]))
    workflow_id = data.draw(st.sampled_from(list(world.heads)))
    what = chosen(world, data, workflow_id)
    if what is None:
        if data.draw(st.booleans()) and world.stopped:
            await world.wake()
        return
    at, fate = data.draw(st.integers(0, 1)), data.draw(st.sampled_from(["lives", "lives", "dies", "stops", "races"]))
    if fate == "dies":
        world.replicas[at].life.steps_left = data.draw(st.integers(1, 25))
    other = chosen(world, data, workflow_id) if fate == "races" else None
    doing = world.do(at, what, stops_in=data.draw(st.integers(1, 20)) if fate == "stops" else None)
    if other is None:
        await doing
    else:
        await asyncio.gather(doing, world.do(1 - at, other))


async def live(wanted: Definition, data: st.DataObject) -> None:
    asyncio.get_running_loop().set_exception_handler(_only_the_dead)
    world = WorkflowWorld(data.draw(st.integers(0, 2**16)), cached=data.draw(st.booleans()))
    if world.cached:
        wanted = replace(wanted, steps=tuple(replace(step, cache=CacheMode.USE) for step in wanted.steps))
    for _ in range(1 + world.cached):
        await world.add(wanted, start=data.draw(st.integers(0, 4)) > 0)
    for _ in range(data.draw(st.integers(0, 16))):
        await act(world, data)
    await heal(world)
    for workflow_id in list(world.heads):
        await check_end(world, workflow_id)


def _only_the_dead(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A process that died leaves tasks that nobody asks any more."""
    if not isinstance(context.get("exception"), DiedError):
        loop.default_exception_handler(context)


@pytest.mark.timeout(60 + LIVES // 5)
@settings(max_examples=LIVES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(definitions(), st.data())
def test_whatever_dies_stops_or_is_lost_every_step_is_done_once_and_every_life_ends(
    wanted: Definition, data: st.DataObject
) -> None:
    check_definition(wanted)
    asyncio.run(live(wanted, data))
