"""Calls that were left open: looked at in their time, each order served, and told in words that fit."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

from compute.inference.v1 import inference_pb2 as pb
from compute.tasks.v1.tasks_pb2 import ProviderCall

from services.common.errors import OutcomeUnknown
from services.providers.calling.call_ledger import RecordedProviderCall
from services.providers.calling.orphan_resolver import OrphanResolver
from services.tasks.provider_calls import CallOutcome
from tests.unit.test_tasks_tidying import SUBMITTED, Place
from tests.waiting import turns


async def test_one_whose_task_runs_on_is_looked_at_later_and_not_at_every_sweep() -> None:
    place = Place()
    over = await place.waiting()
    await place.service.cancel("acme", over.id)
    end = await place.ends.get(over.id)
    assert end is not None
    running = await place.running()
    now = place.clock()
    await place.ends.begin(replace(end, id=running.id, since=now, due=now))
    await place.orphan_reaper.sweep()
    found = await place.ends.get(running.id)
    assert found is not None and found.due > place.now
    assert (await place.tasks.get(running.id)).service_calls[0].is_orphaned


def test_a_call_that_is_given_up_says_what_was_known_of_it() -> None:
    plain = SUBMITTED.given_up("nobody answered for a day")
    assert (plain.outcome, plain.reason) == (CallOutcome.UNKNOWN, OutcomeUnknown.GIVEN_UP)
    assert plain.error == "it may have been charged; nobody answered for a day"
    told = replace(SUBMITTED, error="the line was cut").given_up("nobody answered for a day")
    assert told.error == "the line was cut; nobody answered for a day"
    assert not plain.is_orphaned


async def test_a_call_that_was_never_sent_leaves_nothing_to_ask_by() -> None:
    async def record(_: Any) -> None: ...

    unsent, sent = ProviderCall(call_id="a"), ProviderCall(call_id="b", outcome="SUBMITTED")
    for entry in (unsent, sent):
        RecordedProviderCall(entry, record).settle("FAILED")
    assert (unsent.call_id, unsent.outcome) == ("", "FAILED")
    assert (sent.call_id, sent.outcome) == ("b", "FAILED")


class Source:
    """Counts what it is asked, and answers when it may."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.may = asyncio.Event()

    async def take_orphaned(self, task_id: str) -> list[Any]:
        self.asked.append(task_id)
        await self.may.wait()
        return []


async def test_an_order_that_comes_again_is_served_again_but_not_while_it_is_served() -> None:
    source = Source()
    resolver = OrphanResolver(source, cast("Any", None))

    async def order(task_id: str) -> None:
        content = pb.ResolveOrphansOrder(task_id=task_id).SerializeToString()
        await resolver._receive(cast("Any", SimpleNamespace(data=content)))
        await turns(5)

    await order("t")
    await order("t")
    await order("other")
    assert source.asked == ["t", "other"]
    source.may.set()
    await turns(5)
    await order("t")
    assert source.asked == ["t", "other", "t"]
    await order("")
    await resolver._receive(cast("Any", SimpleNamespace(data=b"\xff\xff")))
    assert len(source.asked) == 3
