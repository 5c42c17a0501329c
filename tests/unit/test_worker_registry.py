"""Which worker may be given more: one that lacks a model stands back behind one that has all of its own."""

from __future__ import annotations

import time

from services.tasks.worker_registry import WorkerRegistry

BROKEN = {"diffusion": "the network answers no numbers"}


def registry(**unwell: dict[str, str]) -> WorkerRegistry:
    """A worker of two queues for each name, with the models that it lacks."""
    found = WorkerRegistry(10.0)
    for name, lacking in unwell.items():
        found.heard(name, ("inference", "providers"), 4, f"_INBOX.{name}", lacking)
    return found


def able(found: WorkerRegistry, queue: str = "inference") -> set[str]:
    return {worker.worker_id for worker in found.free(time.monotonic(), lambda _: 0) if queue in worker.queues}


def test_a_worker_that_lacks_a_model_stands_back_behind_one_that_lacks_none() -> None:
    assert able(registry(ill=BROKEN, well={})) == {"well"}
    assert able(registry(ill=BROKEN, away={"diffusion": ""}, well={})) == {"well"}


def test_where_all_lack_one_all_are_given_tasks() -> None:
    assert able(registry(one=BROKEN, other={"upscale": ""})) == {"one", "other"}


def test_it_keeps_the_queues_that_nobody_else_serves() -> None:
    found = registry(ill=BROKEN)
    found.heard("well", ("providers",), 4, "_INBOX.well")
    assert able(found) == {"ill"} and able(found, "providers") == {"well"}


def test_a_worker_that_hears_nothing_takes_nobodys_place() -> None:
    found = registry(ill=BROKEN)
    found.heard("deaf", ("inference", "providers"), 4, "")
    assert able(found) == {"ill"} and not found.has_well(("inference",), but="ill")


def test_news_of_a_model_means_that_there_may_be_room() -> None:
    found = registry(one={})
    assert found.heard("one", ("inference", "providers"), 4, "_INBOX.one", BROKEN)
    assert not found.heard("one", ("inference", "providers"), 4, "_INBOX.one", BROKEN)
    assert found.heard("one", ("inference", "providers"), 4, "_INBOX.one")


def test_what_is_unwell_is_told_once_with_its_reason() -> None:
    found = registry(one={"upscale": "", "diffusion": ""}, other=BROKEN)
    assert found.unwell == {"diffusion": "the network answers no numbers", "upscale": ""}
    assert list(found.unwell) == ["diffusion", "upscale"]
