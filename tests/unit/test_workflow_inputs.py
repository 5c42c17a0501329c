"""What a step is made of: what it says, what earlier steps made, and what its slots make together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from services.catalog.enums import TransformType
from services.common.errors import InvalidRequest
from services.workflows.definition import Definition, FanOut, InputMapping, StepDefinition
from services.workflows.inputs import draw_seeds, gathered, items_of, task_of

ORIGIN = {"origin_instance": "test"}
CUT = StepDefinition("cut", "BACKGROUND_REMOVAL", {"input_image_paths": ["a.png"]})

NOTHING = Definition(())


def made(result: Mapping[str, Any]) -> Callable[[str], Mapping[str, Any]]:
    return lambda name: result if name == "before" else {}


def task(step: StepDefinition, result: Mapping[str, Any] | None = None, slot: int | None = None, **config: Any) -> Any:
    return task_of(Definition((step,), config), step, made(result or {}), ORIGIN, slot)


def test_seeds_are_drawn_for_what_nobody_says() -> None:
    said = StepDefinition("said", "GENERATION", {"prompt": "x", "seed": 7})
    mapped = StepDefinition("mapped", "GENERATION", {"prompt": "x"}, mappings=(InputMapping("a", "seed", "seed"),))
    large = StepDefinition("large", "REFINE", {"base_image_url": "https://a.example/b.png"})
    numbers = count(1)
    drawn = draw_seeds(Definition((said, mapped, large, CUT)), lambda: next(numbers))
    assert drawn.keys() == {"large"} and all(name.endswith("seed") for name in drawn["large"])
    open_step = StepDefinition("open", "GENERATION", {"prompt": "x"})
    assert draw_seeds(Definition((open_step,), {"seed": 3}), lambda: 9) == {}
    assert draw_seeds(Definition((open_step,)), lambda: 9) == {"open": {"seed": 9}}


def test_a_task_that_is_no_slot_draws_with_the_seed_itself() -> None:
    step = StepDefinition("a", "GENERATION", {"prompt": "x"}, seeds={"seed": 40})
    assert task(step).seed == 40


def test_what_a_step_says_goes_before_the_workflow_and_its_seeds() -> None:
    step = StepDefinition("a", "GENERATION", {"prompt": "x", "seed": 1, "width": 64}, seeds={"seed": 40})
    found = task(step, width=128, height=256)
    assert (found.seed, found.width, found.height, found.origin_instance) == (1, 64, 256, "test")


def test_a_step_without_a_list_has_no_slots_and_one_with_items_has_those() -> None:
    assert items_of(NOTHING, CUT, made({})) == ()
    each = StepDefinition("a", "GENERATION", {}, for_each=FanOut("prompt", items=("x", "y")))
    assert items_of(NOTHING, each, made({})) == ("x", "y")
    later = StepDefinition("a", "GENERATION", {}, for_each=FanOut("prompt", "before", "texts"))
    assert items_of(NOTHING, later, made({"texts": ["x"]})) == ["x"]


@pytest.mark.parametrize("result", [{}, {"texts": None}, {"texts": "x"}])
def test_what_made_no_list_gives_no_slots(result: dict[str, Any]) -> None:
    later = StepDefinition("a", "GENERATION", {}, for_each=FanOut("prompt", "before", "texts"))
    with pytest.raises(InvalidRequest) as refused:
        items_of(NOTHING, later, made(result))
    assert (refused.value.reason, refused.value.message) == ("STEP_INPUT_INVALID", "step before made no list texts")


def test_a_list_that_is_null_is_an_empty_one_where_the_step_makes_lists() -> None:
    cut = replace(CUT, id="before")
    each = FanOut("base_image_url", "before", "result_image_paths")
    large = StepDefinition("large", "REFINE", {}, for_each=each)
    assert items_of(Definition((cut, large)), large, made({"result_image_paths": None})) == []
    fan = StepDefinition("before", "GENERATION", {}, for_each=FanOut("prompt", items=("x",)))
    of_slots = replace(large, for_each=FanOut("base_image_url", "before", "result_image_path"))
    assert items_of(Definition((fan, of_slots)), of_slots, made({})) == []
    drawing = StepDefinition("before", "GENERATION", {"prompt": "x"})
    with pytest.raises(InvalidRequest):
        items_of(Definition((drawing, of_slots)), of_slots, made({}))


def test_what_slots_made_is_a_list_for_each_field_without_what_is_missing() -> None:
    results: list[dict[str, Any]] = [{"a": 1, "b": None}, {"a": 2, "c": 0}, {}]
    assert gathered(results, "DIAGNOSTIC") == {"a": [1, 2], "b": [], "c": [0]}
    assert gathered([], "DIAGNOSTIC") == {"payload": []}


def test_a_list_takes_what_is_given_and_what_is_mapped_be_it_one_or_several() -> None:
    names = ("paths", "path")
    step = StepDefinition(
        "cut",
        "BACKGROUND_REMOVAL",
        {},
        mappings=tuple(InputMapping("before", name, "input_image_paths") for name in names),
    )
    assert task(step, {"paths": ["a.png", "b.png"], "path": "c.png"}).input_image_paths == ["a.png", "b.png", "c.png"]


def test_one_value_takes_the_place_of_a_default() -> None:
    step = StepDefinition("a", "GENERATION", {}, mappings=(InputMapping("before", "text", "prompt"),))
    assert task(step, {"text": "a mug"}).prompt == "a mug"


def test_a_value_that_a_transform_cannot_take_is_told_with_its_source() -> None:
    first = InputMapping("before", "texts", "prompt", TransformType.FIRST)
    step = StepDefinition("a", "GENERATION", {}, mappings=(first,))
    assert task(step, {"texts": ["x", "y"]}).prompt == "x"
    with pytest.raises(InvalidRequest) as refused:
        task(step, {"texts": []})
    assert refused.value.reason == "STEP_INPUT_INVALID"
    assert refused.value.message.startswith("texts of step before ")


@pytest.mark.parametrize("result", [{}, {"text": None}])
def test_what_was_not_made_is_told_by_its_name(result: dict[str, Any]) -> None:
    step = StepDefinition("a", "GENERATION", {}, mappings=(InputMapping("before", "text", "prompt"),))
    with pytest.raises(InvalidRequest) as refused:
        task(step, result)
    assert (refused.value.reason, refused.value.message) == ("STEP_INPUT_INVALID", "step before made no text")


def test_of_what_is_wrong_with_a_task_three_things_are_told() -> None:
    step = StepDefinition("a", "GENERATION", {"prompt": "x", "width": 1, "height": 1, "steps": -1, "seed": "x"})
    with pytest.raises(InvalidRequest) as refused:
        task(step)
    assert refused.value.reason == "STEP_INPUT_INVALID"
    assert refused.value.message.count("; ") == 2 and refused.value.message.startswith("width: ")
