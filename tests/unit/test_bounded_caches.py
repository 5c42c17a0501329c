"""What is kept for speed is bounded by bytes, however large the tasks are."""

from __future__ import annotations

import random
from collections import OrderedDict
from typing import Any, cast

import pytest
from compute.tasks.v1 import params_pb2
from compute.tasks.v1 import tasks_pb2 as pb
from nats.aio.client import Client

from gateway.events import completions as ends
from gateway.events.completions import Completions
from services.common.bounded_cache import BoundedCache
from services.tasks import messages, repository
from services.tasks.domain import Task
from services.tasks.messages import Messages
from services.tasks.repository import MongoTaskRepository
from tests.fakes.mongo import Database, Life, Store
from tests.unit.test_gateway_parts import FakeBus

LARGE = "名" * 30_000


def test_a_cache_keeps_what_was_used_last() -> None:
    cache: BoundedCache[str, int] = BoundedCache(entries=3, size=100)
    for number, name in enumerate("abc"):
        cache.put(name, number, 10)
    assert cache.get("a") == 0
    cache.put("d", 3, 10)
    assert [cache.get(name) for name in "abcd"] == [0, None, 2, 3]
    cache.put("e", 4, 90)
    assert [cache.get(name) for name in "abcde"] == [None, None, None, 3, 4]
    cache.put("d", 5, 101)
    assert (cache.get("d"), len(cache), cache.used) == (None, 1, 90)
    cache.drop("e")
    cache.drop("e")
    assert (len(cache), cache.used) == (0, 0)
    nothing: BoundedCache[str, int] = BoundedCache(entries=0, size=100)
    nothing.put("a", 1, 1)
    assert len(nothing) == 0


def test_a_cache_counts_right_whatever_is_done_to_it() -> None:
    chance, cache = random.Random(7), BoundedCache[int, int](entries=8, size=100)
    model: OrderedDict[int, tuple[int, int]] = OrderedDict()
    for step in range(5_000):
        key, size = chance.randrange(12), chance.randrange(0, 120)
        if chance.random() < 0.2:
            cache.drop(key)
            model.pop(key, None)
        elif chance.random() < 0.4:
            assert cache.get(key) == model.get(key, (None, 0))[0]
            if key in model:
                model.move_to_end(key)
        else:
            cache.put(key, step, size)
            model.pop(key, None)
            if size <= 100:
                model[key] = (step, size)
            while sum(one[1] for one in model.values()) > 100 or len(model) > 8:
                model.popitem(last=False)
        assert (len(cache), cache.used) == (len(model), sum(one[1] for one in model.values()))


async def test_ends_of_large_tasks_are_remembered_within_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ends, "_RECENT_BYTES", 600_000)
    bus = FakeBus()
    learnt = Completions(cast("Client", bus), _stored)
    async with learnt.listening():
        for number in range(30):
            done = pb.Task(id=f"t{number}", status=pb.TASK_STATUS_COMPLETED, version=3)
            done.spec.config.update({"text": LARGE})
            await bus.tell(done)
        waited = pb.Task(id="t29", status=pb.TASK_STATUS_PENDING, version=1)
        assert (await learnt.wait(waited, 5, _never)).version == 3
    assert (len(learnt._recent), learnt._recent.used <= 600_000) == (6, True)  # what is held


async def _stored(names: Any) -> Any:
    return {}


async def _never() -> pb.Task:
    raise AssertionError("it is remembered")


class Nobody:
    """A relay that is told of writes."""

    owner = "o"

    def begin(self) -> int:
        return 1

    def written(self, number: int, task: Task) -> None: ...

    def dropped(self, number: int) -> None: ...

    def pruned(self, task: Task) -> Task:
        return task


async def test_large_tasks_are_remembered_by_their_store_within_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository, "_CACHE_BYTES", 600_000)
    database: Any = Database(Store(), Life())
    tasks = MongoTaskRepository(database, cast("Any", Nobody()), lambda _: None)
    for number in range(30):
        spec = f'{{"common":{{"config":"{LARGE}"}}}}'
        await tasks.add(Task(f"t{number}", "a", "DIAGNOSTIC", "q", spec, 0, number, number))
    kept = [number for number in range(30) if tasks.known(f"t{number}") is not None]
    assert kept == list(range(21, 30))
    assert (await tasks.get("t0")).spec == spec


def test_large_specifications_are_remembered_within_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "_SPECS_BYTES", 600_000)
    shown = Messages()
    for number in range(30):
        request = pb.CreateTaskRequest()
        request.spec.origin.instance = "t"
        request.spec.config.update({"text": LARGE, "number": number})
        request.spec.params.CopyFrom(params_pb2.TaskParams(diagnostic=params_pb2.DiagnosticParams()))
        shown.new_task("acme", request)
    assert 0 < len(shown._specs) < 10  # what is held
    assert shown._specs.used <= 600_000  # what is held
