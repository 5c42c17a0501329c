"""How far a definition may go in everything that is counted, and what conditions and gates may say."""

from __future__ import annotations

from typing import Any

import pytest

from services.catalog.enums import Comparison, JoinPolicy, TransformType
from services.common.errors import InvalidRequest
from services.workflows.definition import (
    MAX_GATE_SECONDS,
    MAX_RETRIES,
    MAX_SLOTS,
    ApprovalGate,
    Condition,
    Definition,
    FanOut,
    InputMapping,
    StepDefinition,
)
from services.workflows.validation import MAX_MAPPINGS, MAX_STEPS, check_definition
from tests.unit.test_workflow_definitions import CUT, DRAW, findings

PAYLOAD = InputMapping("a", "payload", "payload")


def step(name: str, *before: str, **more: Any) -> StepDefinition:
    return StepDefinition(name, "DIAGNOSTIC", more.pop("given", {}), before, **more)


def only(found: dict[str, str]) -> tuple[str, str]:
    [(field, said)] = found.items()
    return field, said


@pytest.mark.parametrize(("count", "wrong"), [(0, True), (1, False), (MAX_STEPS, False), (MAX_STEPS + 1, True)])
def test_so_many_steps_and_no_more(count: int, wrong: bool) -> None:
    found = findings(*[step(f"s{number}") for number in range(count)])
    assert found == ({"steps": f"must be 1 to {MAX_STEPS}, not {count}"} if wrong else {})


@pytest.mark.parametrize(("name", "wrong"), [("a" * 100, False), ("a" * 101, True), ("", True), ("-a", True)])
def test_so_long_an_id_and_no_longer(name: str, wrong: bool) -> None:
    assert ("steps.0.id" in findings(step(name))) == wrong


@pytest.mark.parametrize(("tries", "wrong"), [(-1, True), (0, False), (MAX_RETRIES, False), (MAX_RETRIES + 1, True)])
def test_so_many_retries_and_no_more(tries: int, wrong: bool) -> None:
    assert ("steps.0.max_retries" in findings(step("a", max_retries=tries))) == wrong


@pytest.mark.parametrize(("seconds", "wrong"), [(0, True), (1, False), (MAX_GATE_SECONDS, False)])
def test_a_gate_waits_for_a_second_at_least(seconds: int, wrong: bool) -> None:
    found = findings(step("a", gate=ApprovalGate(timeout=seconds)))
    assert ("steps.0.gate_timeout_seconds" in found) == wrong


def test_a_gate_does_not_wait_for_longer_than_it_may() -> None:
    field, said = only(findings(step("a", gate=ApprovalGate(timeout=MAX_GATE_SECONDS + 1))))
    assert (field, said) == ("steps.0.gate_timeout_seconds", f"step a: must be 1 to {MAX_GATE_SECONDS} seconds")


@pytest.mark.parametrize(("count", "wrong"), [(0, True), (1, False), (MAX_SLOTS, False), (MAX_SLOTS + 1, True)])
def test_so_many_items_and_no_more(count: int, wrong: bool) -> None:
    found = findings(step("a", for_each=FanOut("payload", items=("x",) * count)))
    assert ("steps.0.for_each.items" in found) == wrong


@pytest.mark.parametrize(("quorum", "wrong"), [(1, False), (2, False), (3, True), (0, True)])
def test_a_quorum_is_one_of_the_items_at_least_and_all_of_them_at_most(quorum: int, wrong: bool) -> None:
    each = FanOut("payload", items=("x", "y"), join=JoinPolicy.QUORUM, quorum=quorum)
    assert ("steps.0.for_each.quorum" in findings(step("a", for_each=each))) == wrong


def test_a_quorum_over_a_list_that_is_not_made_yet_may_be_any() -> None:
    cut = FanOut("base_image_url", "cut", "result_image_paths", join=JoinPolicy.QUORUM, quorum=5)
    assert findings(CUT, StepDefinition("large", "REFINE", {}, ("cut",), for_each=cut)) == {}


def test_so_many_mappings_and_no_more() -> None:
    def cut(count: int) -> StepDefinition:
        picture = InputMapping("draw", "result_image_path", "input_image_paths")
        return StepDefinition("cut", "BACKGROUND_REMOVAL", {}, ("draw",), (picture,) * count)

    assert findings(DRAW, cut(MAX_MAPPINGS)) == {}
    field, said = only(findings(DRAW, cut(MAX_MAPPINGS + 1)))
    assert (field, said) == ("steps.1.input_mappings", f"step cut: must be at most {MAX_MAPPINGS}")


def test_a_hundred_findings_are_told_and_how_many_more_there_are() -> None:
    steps = [step(f"s{number}", max_retries=99) for number in range(120)]
    with pytest.raises(InvalidRequest) as refused:
        check_definition(Definition(tuple(steps)))
    assert len(refused.value.violations) == 100
    assert refused.value.message.endswith("; and 117 more")
    for count, end in ((3, "9"), (4, "; and 1 more")):
        with pytest.raises(InvalidRequest) as refused:
            check_definition(Definition(tuple(steps[:count])))
        assert refused.value.message.count("steps.") == 3 and refused.value.message.endswith(end)


@pytest.mark.parametrize(("length", "shown"), [(100, "x" * 100), (101, "x" * 100 + "…")])
def test_a_name_is_quoted_as_far_as_a_message_may_hold(length: int, shown: str) -> None:
    said = only(findings(step("a", "x" * length)))[1]
    assert said == f"step a depends on {shown}, which is no step"


def test_a_step_with_too_many_dependencies_is_told_of_once() -> None:
    assert findings(step("a", *["nobody"] * MAX_STEPS)).keys() != {"steps.0.depends_on"}
    assert findings(step("a", *["nobody"] * (MAX_STEPS + 1))).keys() == {"steps.0.depends_on"}


def test_of_names_that_are_wrong_nothing_that_follows_from_them_is_told() -> None:
    assert findings(step("a"), step("a", max_retries=99)).keys() == {"steps.1.id"}
    assert findings(step("a", "b", max_retries=99)).keys() == {"steps.0.depends_on.0"}


def test_what_stands_behind_a_circle_is_told_and_what_stands_before_it_is_not() -> None:
    steps = step("a"), step("b", "a", "d"), step("c", "b"), step("d", "c"), step("e", "d")
    assert findings(*steps).keys() == {f"steps.{number}.depends_on" for number in (1, 2, 3, 4)}


def test_a_step_may_take_of_one_far_before_it() -> None:
    assert findings(step("a"), step("b", "a"), step("c", "b", mappings=(PAYLOAD,))) == {}
    beside = findings(step("a"), step("b"), step("c", "b", mappings=(PAYLOAD,)))
    assert beside.keys() == {"steps.2.input_mappings.0.from_step"}


def test_of_a_step_of_an_unknown_type_no_one_is_told_that_it_makes_nothing() -> None:
    found = findings(StepDefinition("a", "PAINTING"), step("b", "a", mappings=(PAYLOAD,)))
    assert found.keys() == {"steps.0.task_type"}


CONDITIONS: dict[str, tuple[tuple[str, str, Comparison, Any], str | None]] = {
    "equal": (("draw", "width", Comparison.EQ, 64), None),
    "one of a list": (("draw", "model_name", Comparison.IN, ["a", "b"]), None),
    "one of no list": (("draw", "model_name", Comparison.IN, "a"), "value"),
    "less than a number": (("draw", "seed", Comparison.LT, 7), None),
    "more than a text": (("draw", "model_name", Comparison.GE, "m"), None),
    "at most a list": (("draw", "seed", Comparison.LE, [7]), "value"),
    "unlike a list": (("draw", "seed", Comparison.NE, [7]), None),
    "inside an object": (("draw", "quality.sharpness", Comparison.GT, 0.5), None),
    "inside a number": (("draw", "width.left", Comparison.EQ, 1), "from_field"),
    "inside a list": (("draw", "notes.first", Comparison.EQ, 1), "from_field"),
    "of no result": (("draw", "colour", Comparison.EQ, "red"), "from_field"),
    "inside no result": (("draw", "colour.hue", Comparison.EQ, 1), "from_field"),
    "of no step": (("sketch", "width", Comparison.EQ, 64), "from_step"),
    "of a step beside it": (("cut", "model_name", Comparison.EQ, "a"), "from_step"),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_condition_asks_for_what_is_there_and_can_be_compared(name: str) -> None:
    said, field = CONDITIONS[name]
    found = findings(DRAW, CUT, step("a", "draw", run_if=Condition(*said)))
    assert found.keys() == ({f"steps.2.run_if.{field}"} if field else set())


def test_a_parameter_that_is_mapped_and_none_that_is_missing_is_told_of() -> None:
    prompt = InputMapping("a", "payload", "prompt")
    assert findings(step("a"), StepDefinition("b", "GENERATION", {}, ("a",), (prompt,))) == {}
    width = InputMapping("draw", "width", "width")
    found = findings(DRAW, StepDefinition("b", "GENERATION", {}, ("draw",), (width,)))
    assert found == {"steps.1.config.prompt": "step b: is missing: give it, or map it"}


def test_a_default_of_the_workflow_serves_where_a_step_says_nothing() -> None:
    assert findings(StepDefinition("a", "GENERATION"), prompt="a red mug") == {}
    assert findings(StepDefinition("a", "GENERATION"), prompt=7).keys() == {"config.prompt"}


def test_what_a_transform_makes_is_what_must_fit() -> None:
    joined = InputMapping("a", "payload", "payload", TransformType.JOIN, {"separator": ","})
    each = FanOut("payload", items=("x", "y"))
    assert findings(step("a", for_each=each), step("b", "a", mappings=(joined,))) == {}
    found = findings(step("a", for_each=each), step("b", "a", mappings=(PAYLOAD,)))
    assert found.keys() == {"steps.1.input_mappings.0.to_field"}


def test_a_list_of_lists_goes_out_item_by_item() -> None:
    cuts = FanOut("input_image_paths", items=(["a.png"], ["b.png", "c.png"], "d.png"))
    cut = StepDefinition("cut", "BACKGROUND_REMOVAL", {}, for_each=cuts)
    assert findings(cut) == {}
    bad = FanOut("input_image_paths", items=("a.png", [7]))
    assert findings(StepDefinition("cut", "BACKGROUND_REMOVAL", {}, for_each=bad)).keys() == {
        "steps.0.for_each.items.1"
    }


def test_what_a_parent_knows_is_no_parameter_of_a_step() -> None:
    mapped = InputMapping("a", "payload", "origin_instance")
    field, said = only(findings(step("a"), step("b", "a", mappings=(mapped,))))
    assert field == "steps.1.input_mappings.0.to_field"
    assert said.startswith("step b: origin_instance is no parameter; there are ")
