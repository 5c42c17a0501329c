"""Pins where processes die, two fetch at once, and servers give another picture each time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from services.catalog.base import CommonFields
from services.catalog.schemas import ALL_SCHEMAS
from services.net.guarded_http import FetchedContent
from services.workflows.files import inputs_of_workflow
from services.workflows.pin_records import MongoPinRepository
from services.workflows.pinning import Pins
from tests.fakes.mongo import Database, DiedError, Life, Store
from tests.fakes.objects import Shelf
from tests.waiting import turns

URL, TENANT = "https://pictures.example/shirt.png", "acme"


class Moody:
    """A server that gives another picture at each look."""

    def __init__(self) -> None:
        self.asked = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Moody]:
        yield self

    async def get(self, url: str, *, max_bytes: int) -> FetchedContent:
        self.asked += 1
        number = self.asked
        await turns(3)
        return FetchedContent(b"\x89PNG\r\n\x1a\n" + bytes([number]), "image/png", url)


class World:
    def __init__(self) -> None:
        self.store, self.objects, self.server = Store(), Shelf(), Moody()

    def pins(self, steps_left: int | None = None) -> Pins:
        database: Any = Database(self.store, Life(steps_left))
        clock = iter(range(10**6))
        return Pins(
            MongoPinRepository(database), self.objects, self.server.open, lambda: next(clock), max_bytes=1 << 20
        )


def edit(**fields: Any) -> CommonFields:
    given = {"origin_instance": "t", "task_type": "EDITING", "prompt": "red", **fields}
    return ALL_SCHEMAS["EDITING"].create.model_validate(given)


async def path_of(pins: Pins, workflow_id: str = "w") -> str:
    task: Any = await pins.pinned(TENANT, workflow_id, "EDITING", edit(base_image=URL))
    assert task.base_image.startswith(inputs_of_workflow(workflow_id))
    return str(task.base_image)


@pytest.mark.field("picture-changes-between-tries")
async def test_whatever_dies_all_who_saw_a_picture_saw_the_same() -> None:
    for steps_left in range(1, 12):
        world, seen = World(), set[str]()
        with suppress(DiedError):
            seen.add(await path_of(world.pins(steps_left)))
        seen.add(await path_of(world.pins()))
        seen.add(await path_of(world.pins()))
        assert len(seen) == 1, steps_left
        assert (TENANT, seen.pop()) in world.objects.kept


async def test_two_processes_that_fetch_at_once_agree_and_slots_of_one_ask_once() -> None:
    world = World()
    one, other = world.pins(), world.pins()
    found = await asyncio.gather(*(path_of(pins) for pins in (one, other, one, one)))
    assert len(set(found)) == 1 and world.server.asked <= 2


async def test_each_workflow_looks_for_itself() -> None:
    world = World()
    pins = world.pins()
    assert await path_of(pins, "w1") != (await path_of(pins, "w2")).replace("w2", "w1")


async def test_a_picture_lands_where_paths_go_whatever_named_it() -> None:
    world = World()
    task: Any = await world.pins().pinned(
        TENANT, "w", "EDITING", edit(base_image_url=URL, reference_images=["shop/a.png", URL])
    )
    assert task.base_image_url is None
    assert task.base_image.startswith("workflows/w/inputs/")
    assert task.reference_images == ["shop/a.png", task.base_image]


async def test_a_task_without_pictures_from_elsewhere_is_the_same_object() -> None:
    task = edit(base_image="shop/a.png")
    assert await World().pins().pinned(TENANT, "w", "EDITING", task) is task
