"""What a definition may say, what is told of one that cannot run, and what becomes of values between steps."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.catalog.enums import JoinPolicy, TransformType
from services.catalog.shapes import Shape, ValueKind, inputs_of, outputs_of
from services.catalog.tasks import TYPES
from services.catalog.transforms import MAX_TEXT, TRANSFORMS
from services.common.errors import InvalidRequest
from services.workflows.definition import Definition, FanOut, InputMapping, StepDefinition
from services.workflows.inputs import draw_seeds, task_of
from services.workflows.messages import read_definition, write_definition
from services.workflows.ports import StoredDefinition
from services.workflows.validation import MAX_STEPS, check_definition

DRAW = StepDefinition("draw", "GENERATION", {"prompt": "a red mug"})
PICTURE = InputMapping("draw", "result_image_path", "base_image_url")
ORIGIN = {"origin_instance": "test"}


def refine(*mappings: InputMapping, before: tuple[str, ...] = ("draw",), **given: Any) -> StepDefinition:
    return StepDefinition("refine", "REFINE", given, before, mappings)


def findings(*steps: StepDefinition, **config: Any) -> dict[str, str]:
    """Field by field; empty where nothing is wrong."""
    refused: InvalidRequest | None = None
    try:
        check_definition(Definition(steps, config))
    except InvalidRequest as error:
        refused = error
    if refused is None:
        return {}
    assert refused.reason == "WORKFLOW_INVALID"
    return {item.field: item.description for item in refused.violations}


def test_a_step_may_say_a_part_and_have_the_rest_mapped() -> None:
    assert findings(DRAW, refine(PICTURE, upscale_factor=2.0)) == {}


WRONG = {
    "no steps": ((), {"steps"}),
    "doubled id": ((DRAW, DRAW), {"steps.1.id"}),
    "an id with a slash": ((StepDefinition("a/b", "GENERATION", {"prompt": "x"}),), {"steps.0.id"}),
    "an id of 4 kB": ((StepDefinition("a" * 4096, "GENERATION", {"prompt": "x"}),), {"steps.0.id"}),
    "an id of other letters": ((StepDefinition("größe", "GENERATION", {"prompt": "x"}),), {"steps.0.id"}),
    "unknown dependency": ((DRAW, refine(before=("cut",))), {"steps.1.depends_on.0"}),
    "the same dependency twice": ((DRAW, refine(before=("draw", "draw"))), {"steps.1.depends_on.1"}),
    "a circle": (
        (
            StepDefinition("a", "GENERATION", {"prompt": "x"}, ("b",)),
            StepDefinition("b", "GENERATION", {"prompt": "x"}, ("a",)),
        ),
        {"steps.0.depends_on", "steps.1.depends_on"},
    ),
    "waiting for itself": ((StepDefinition("a", "GENERATION", {"prompt": "x"}, ("a",)),), {"steps.0.depends_on"}),
    "unknown type": ((StepDefinition("a", "PAINTING"),), {"steps.0.task_type"}),
    "unknown parameter": ((DRAW, refine(PICTURE, hue=1)), {"steps.1.config.hue"}),
    "a value out of range": ((DRAW, refine(PICTURE, upscale_factor=99)), {"steps.1.config.upscale_factor"}),
    "unknown provider": (
        (DRAW, refine(PICTURE, provider_config={"provider_type": "FAL", "zeal": 1})),
        {"steps.1.provider_config"},
    ),
    "not upstream": ((DRAW, refine(PICTURE, before=())), {"steps.1.input_mappings.0.from_step"}),
    "unknown result": (
        (DRAW, refine(InputMapping("draw", "picture", "base_image_url"))),
        {"steps.1.input_mappings.0.from_field"},
    ),
    "unknown target": (
        (DRAW, refine(PICTURE, InputMapping("draw", "result_image_path", "base"))),
        {"steps.1.input_mappings.1.to_field"},
    ),
    "a target that is the workflow's": (
        (
            DRAW,
            StepDefinition(
                "edit",
                "EDITING",
                {"prompt": "x", "base_image": "a.png"},
                ("draw",),
                (InputMapping("draw", "model_name", "workflow_id"),),
            ),
        ),
        {"steps.1.input_mappings.0.to_field"},
    ),
    "a number for a picture": (
        (DRAW, refine(InputMapping("draw", "width", "base_image_url"))),
        {"steps.1.input_mappings.0.to_field"},
    ),
    "the first of no list": (
        (DRAW, refine(InputMapping("draw", "result_image_path", "base_image_url", TransformType.FIRST))),
        {"steps.1.input_mappings.0.transform"},
    ),
    "an argument too few": (
        (DRAW, refine(PICTURE, InputMapping("draw", "width", "upscale_prompt", TransformType.TEMPLATE))),
        {"steps.1.input_mappings.1.transform_args"},
    ),
    "given and mapped": (
        (DRAW, refine(PICTURE, base_image_url="a.png")),
        {"steps.1.input_mappings.0.to_field"},
    ),
    "mapped twice": ((DRAW, refine(PICTURE, PICTURE)), {"steps.1.input_mappings.1.to_field"}),
    "neither given nor mapped": ((DRAW, refine()), {"steps.1.config.base_image_url"}),
    "parameters that exclude each other": (
        (DRAW, refine(PICTURE, upscale_factor=2.0, target_width=100)),
        {"steps.1.config"},
    ),
    "too many retries": (
        (StepDefinition("a", "GENERATION", {"prompt": "x"}, max_retries=99),),
        {"steps.0.max_retries"},
    ),
}


CUT = StepDefinition("cut", "BACKGROUND_REMOVAL", {"input_image_paths": ["a.png", "b.png"]})


def ground(each: FanOut, before: tuple[str, ...] = ("cut",), **given: Any) -> StepDefinition:
    given = {"background_color": "white", **given}
    return StepDefinition("ground", "BACKGROUND_FIX", given, before, for_each=each)


EACH = FanOut("base_image", "cut", "result_image_paths")
COLOURS = FanOut("background_color", items=("red", "#00ff00"))
WRONG_FANS = {
    "no list": ((DRAW, ground(FanOut("base_image", "draw", "result_image_path"), ("draw",))), {"from_field"}),
    "a list of something else": ((CUT, ground(FanOut("base_image", "cut", "confidences"))), {"to_field"}),
    "not upstream": ((CUT, ground(EACH, ())), {"from_step"}),
    "unknown target": ((CUT, ground(FanOut("picture", "cut", "result_image_paths"))), {"to_field"}),
    "given as well": ((CUT, ground(EACH, base_image="a.png")), {"to_field"}),
    "items beside a step": (
        (CUT, ground(FanOut("base_image", "cut", "result_image_paths", items=("a.png",)))),
        {"items"},
    ),
    "no items": ((CUT, ground(FanOut("base_image", items=()))), {"items"}),
    "an item that cannot fit": ((CUT, ground(FanOut("base_image", items=("a.png", 7)))), {"items.1"}),
    "a quorum without its number": ((CUT, ground(replace(EACH, join=JoinPolicy.QUORUM))), {"quorum"}),
    "a number without quorum": ((CUT, ground(replace(EACH, quorum=1))), {"quorum"}),
    "a quorum of more than there are": (
        (CUT, ground(FanOut("base_image", items=("a.png",), join=JoinPolicy.QUORUM, quorum=2))),
        {"quorum"},
    ),
}


@pytest.mark.parametrize("name", WRONG_FANS)
def test_what_is_wrong_with_a_fan_out_is_told(name: str) -> None:
    steps, fields = WRONG_FANS[name]
    assert findings(*steps).keys() == {f"steps.1.for_each.{field}" for field in fields}


def test_a_step_with_a_task_for_each_hands_on_lists() -> None:
    grounds = ground(EACH)
    large = InputMapping("ground", "result_image_path", "base_image_url")
    one = InputMapping("ground", "result_image_path", "base_image_url", TransformType.FIRST)
    assert findings(CUT, grounds, refine(one, before=("ground",))) == {}
    assert findings(CUT, grounds, refine(large, before=("ground",))).keys() == {"steps.2.input_mappings.0.to_field"}
    again = StepDefinition(
        "again", "REFINE", {}, ("ground",), for_each=FanOut("base_image_url", "ground", "result_image_path")
    )
    assert findings(CUT, grounds, again) == {}
    made = {"result_image_paths": ["x.png", "y.png"]}
    tasks = [task_of(Definition((CUT, grounds)), grounds, lambda _: made, ORIGIN, slot) for slot in range(2)]
    assert [task.base_image for task in tasks] == ["x.png", "y.png"]  # type: ignore[attr-defined]


def test_each_slot_draws_with_a_seed_of_its_own() -> None:
    step = StepDefinition("draw", "GENERATION", {}, seeds={"seed": 40}, for_each=FanOut("prompt", items=("a", "b")))
    tasks = [task_of(Definition((step,)), step, lambda _: {}, ORIGIN, slot) for slot in range(2)]
    assert [(task.prompt, task.seed) for task in tasks] == [("a", 40), ("b", 41)]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_by_step_and_field(name: str) -> None:
    steps, fields = WRONG[name]
    assert findings(*steps).keys() == fields


def test_all_that_is_wrong_is_told_at_once() -> None:
    cut = StepDefinition("cut", "BACKGROUND_REMOVAL", {"shadow": 1}, ("refine",))
    found = findings(DRAW, refine(InputMapping("draw", "width", "base_image_url"), upscale_factor=99), cut)
    assert len(found) == 3


@pytest.mark.parametrize(
    ("value", "wrong"), [("stop", False), ("finish_independent", False), ("go on", True), (1, True)]
)
def test_on_failure_is_one_of_two(value: object, wrong: bool) -> None:
    assert bool(findings(DRAW, on_failure=value)) == wrong


def test_the_workflows_config_is_the_default_of_every_step_whose_type_has_the_field() -> None:
    steps = (
        StepDefinition("a", "GENERATION", {"prompt": "x", "width": 64}),
        StepDefinition("b", "GENERATION", {"prompt": "y"}),
    )
    definition = Definition(steps, {"width": 128, "height": 256, "season": "autumn"})
    check_definition(definition)
    made = [task_of(definition, step, lambda _: {}, ORIGIN) for step in steps]
    assert [(task.width, task.height) for task in made] == [(64, 256), (128, 256)]  # type: ignore[attr-defined]
    assert findings(*steps, width="wide").keys() == {"config.width"}


def test_seeds_that_are_left_open_are_drawn_once() -> None:
    steps = (DRAW, StepDefinition("fixed", "GENERATION", {"prompt": "x", "seed": 7}))
    drawn = draw_seeds(Definition(steps), lambda: 5)
    assert drawn == {"draw": {"seed": 5}}
    seeded = StepDefinition("draw", "GENERATION", {"prompt": "a red mug"}, seeds=drawn["draw"])
    tries = [task_of(Definition((seeded,)), seeded, lambda _: {}, ORIGIN) for _ in range(2)]
    assert tries[0] == tries[1]
    assert tries[0].seed == 5  # type: ignore[attr-defined]


def test_a_stored_picture_goes_where_paths_go_though_a_url_was_named() -> None:
    again = StepDefinition(
        "again",
        "GENERATION",
        {"prompt": "x"},
        ("draw",),
        (InputMapping("draw", "result_image_path", "reference_image_url"),),
    )
    definition = Definition((DRAW, again))
    check_definition(definition)
    task = task_of(definition, again, lambda _: {"result_image_path": "generations/1/a.png"}, ORIGIN)
    assert task.reference_image_path == "generations/1/a.png"  # type: ignore[attr-defined]
    assert task.reference_image_url is None  # type: ignore[attr-defined]


def test_a_list_takes_several_mappings_in_their_order() -> None:
    two = StepDefinition("two", "GENERATION", {"prompt": "a cup"})
    mapped = [InputMapping(name, "result_image_path", "input_image_paths") for name in ("two", "draw")]
    cut = StepDefinition("cut", "BACKGROUND_REMOVAL", {}, ("draw", "two"), tuple(mapped))
    definition = Definition((DRAW, two, cut))
    check_definition(definition)
    task = task_of(definition, cut, lambda name: {"result_image_path": f"{name}.png"}, ORIGIN)
    assert task.input_image_paths == ["two.png", "draw.png"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("result", [{}, {"result_image_path": None}, {"result_image_path": "../../etc/passwd"}])
def test_what_a_step_cannot_take_is_refused_when_it_is_there(result: dict[str, Any]) -> None:
    step = refine(PICTURE)
    with pytest.raises(InvalidRequest) as refused:
        task_of(Definition((DRAW, step)), step, lambda _: result, ORIGIN)
    assert refused.value.reason == "STEP_INPUT_INVALID"


TEXT, TEXTS = Shape(ValueKind.TEXT), Shape(ValueKind.TEXT, 1)
OBJECT, SIDE = Shape(ValueKind.OBJECT), Shape(ValueKind.INTEGER)
APP = {"fal_app_id": "fal-ai/any"}
APPLIED = [
    (TransformType.FIRST, TEXTS, ["a", "b"], {}, TEXT, "a"),
    (TransformType.LAST, TEXTS, ["a", "b"], {}, TEXT, "b"),
    (TransformType.AT_INDEX, TEXTS, ["a", "b", "c"], {"index": -2}, TEXT, "b"),
    (TransformType.TO_LIST, TEXT, "a", {}, TEXTS, ["a"]),
    (TransformType.FLATTEN, Shape(ValueKind.TEXT, 2), [["a"], [], ["b"]], {}, TEXTS, ["a", "b"]),
    (TransformType.JOIN, Shape(ValueKind.NUMBER, 1), [1, 2.5], {"separator": ", "}, TEXT, "1, 2.5"),
    (TransformType.LENGTH, TEXTS, ["a", "b"], {}, Shape(ValueKind.INTEGER), 2),
    (TransformType.TEMPLATE, TEXT, "mug", {"template": "a {value} of {values}"}, TEXT, "a mug of {values}"),
    (TransformType.MERGE, OBJECT, {"a": 1, "b": 2}, {"values": {"b": 3}}, OBJECT, {"a": 1, "b": 3}),
    (TransformType.MERGE, Shape(ValueKind.OBJECT, 1), [{"a": 1}, {"a": 2, "b": 1}], {}, OBJECT, {"a": 2, "b": 1}),
    (TransformType.RESIZE_REFERENCE, SIDE, 131, {"factor": 2}, SIDE, 262),
    (TransformType.RESIZE_REFERENCE, SIDE, 131, {"factor": 2, "multiple_of": 64}, SIDE, 256),
    (TransformType.RESIZE_REFERENCE, SIDE, 1, {"factor": 0.1, "multiple_of": 8}, SIDE, 8),
    (
        TransformType.RESIZE_REFERENCE,
        Shape(ValueKind.NUMBER),
        3_000.0,
        {"factor": 8, "multiple_of": 64, "most": 2_000},
        SIDE,
        1_984,
    ),
    (
        TransformType.TEMPLATE,
        Shape(ValueKind.TRUTH),
        True,
        {"template": "{value.__class__} {value}"},
        TEXT,
        "{value.__class__} true",
    ),
]


@pytest.mark.parametrize(("kind", "takes", "value", "arguments", "makes", "made"), APPLIED)
def test_a_transform_makes_what_the_table_says(
    kind: TransformType, takes: Shape, value: Any, arguments: dict[str, Any], makes: Shape, made: Any
) -> None:
    assert TRANSFORMS[kind].shape(takes) == makes
    assert TRANSFORMS[kind].apply(value, arguments) == made


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        (TransformType.MERGE, TEXT),
        (TransformType.MERGE, Shape(ValueKind.OBJECT, 2)),
        (TransformType.RESIZE_REFERENCE, TEXT),
        (TransformType.RESIZE_REFERENCE, Shape(ValueKind.INTEGER, 1)),
    ],
)
def test_a_transform_takes_nothing_else(kind: TransformType, shape: Shape) -> None:
    assert TRANSFORMS[kind].shape(shape) is None


@pytest.mark.parametrize("side", [0, -3])
def test_what_is_no_side_is_told(side: int) -> None:
    with pytest.raises(ValueError, match="no side"):
        TRANSFORMS[TransformType.RESIZE_REFERENCE].apply(side, {"factor": 2})


def test_what_is_merged_is_bounded() -> None:
    parts = [{f"m{number}": "x" * 60_000} for number in range(3)]
    with pytest.raises(ValueError, match="65536"):
        TRANSFORMS[TransformType.MERGE].apply(parts, {})


def test_what_a_vendors_app_answered_becomes_the_parameters_of_the_next_one() -> None:
    first = StepDefinition("a", "EXPERIMENTAL_FAL", APP)
    mapping = InputMapping("a", "output", "fal_parameters", TransformType.MERGE, {"values": {"steps": 4}})
    second = StepDefinition("b", "EXPERIMENTAL_FAL", APP, ("a",), (mapping,))
    assert findings(first, second) == {}
    definition = Definition((first, second))
    task: Any = task_of(definition, second, {"a": {"output": {"mask": "m.png", "steps": 9}}}.__getitem__, ORIGIN)
    assert task.fal_parameters == {"mask": "m.png", "steps": 4}


def test_a_picture_is_adjusted_to_a_multiple_of_anothers_size() -> None:
    sides = [
        InputMapping("draw", name, f"target_{name}", TransformType.RESIZE_REFERENCE, {"factor": 1.5})
        for name in ("width", "height")
    ]
    given = {"input_image": "shop/logo.png", "mode": "pad"}
    step = StepDefinition("adjust", "IMAGE_ADJUSTER", given, ("draw",), tuple(sides))
    assert findings(DRAW, step) == {}
    made: Any = task_of(Definition((DRAW, step)), step, {"draw": {"width": 128, "height": 200}}.__getitem__, ORIGIN)
    assert (made.target_width, made.target_height) == (192, 300)


def test_every_transform_is_in_the_table_and_tried_here() -> None:
    assert set(TRANSFORMS) == {*TransformType} == {kind for kind, *_ in APPLIED}


def test_a_template_cannot_explode() -> None:
    began = time.perf_counter()
    with pytest.raises(ValueError, match="characters"):
        TRANSFORMS[TransformType.TEMPLATE].apply("x" * 60_000, {"template": "{value}" * 64})
    with pytest.raises(ValueError, match="characters"):
        TRANSFORMS[TransformType.JOIN].apply(["x" * 60_000] * 2, {"separator": ""})
    assert len(TRANSFORMS[TransformType.TEMPLATE].apply("x" * 1000, {"template": "{value}" * 64})) < MAX_TEXT
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize("index", [2, -3, 10**9])
def test_an_item_that_is_not_there_is_told(index: int) -> None:
    with pytest.raises(ValueError, match="2 items"):
        TRANSFORMS[TransformType.AT_INDEX].apply(["a", "b"], {"index": index})


def test_a_hundred_thousand_steps_and_a_bomb_of_dependencies_are_told_at_once() -> None:
    began = time.process_time()
    assert findings(*[DRAW] * 100_000).keys() == {"steps"}
    steps = [
        StepDefinition(f"s{n}", "GENERATION", {"prompt": "x"}, tuple(f"s{m}" for m in range(n)))
        for n in range(MAX_STEPS)
    ]
    assert findings(*steps) == {}
    assert time.process_time() - began < 10


def test_every_type_has_fields_of_known_shape_and_no_model_or_text_is_taken_for_a_picture() -> None:
    for name in TYPES:
        assert inputs_of(name), name
    assert inputs_of("GENERATION")["subject_model_path"].shape == TEXT
    assert outputs_of("LLM_INTERACTION")["result_text_path"] == TEXT
    assert outputs_of("VIDEO_GENERATION")["result_video_path"].kind is ValueKind.VIDEO
    assert outputs_of("BACKGROUND_REMOVAL")["result_image_paths"] == Shape(ValueKind.PICTURE, 1)


def test_what_is_stored_is_read_as_it_was() -> None:
    mapping = InputMapping("draw", "width", "upscale_prompt", TransformType.TEMPLATE, {"template": "{value} wide"})
    given = {
        "upscale_factor": 2.0,
        "priority": 9,
        "provider_config": {"provider_type": "LOCAL"},
        "config": {"b": 1, "a": 2**60},
    }
    step = StepDefinition("refine", "REFINE", given, ("draw",), (PICTURE, mapping), 0, {"upscale_seed": 2**40})
    stored = StoredDefinition(
        Definition((DRAW, step), {"on_failure": "stop", "n": 2**60}), suppress_subtask_events=False
    )
    check_definition(stored.definition)
    assert read_definition(write_definition(stored)) == stored


NAMES = st.sampled_from(["a", "b", "draw", "", "x" * 200, "é", "a/b", "0"])
FIELDS = st.sampled_from([*inputs_of("REFINE"), *outputs_of("GENERATION"), "", "nothing", "seed"])
MAPPINGS = st.builds(
    InputMapping,
    NAMES,
    FIELDS,
    FIELDS,
    st.sampled_from([None, *TransformType]),
    st.dictionaries(
        st.sampled_from(["index", "separator", "template"]), st.sampled_from([1, "{value}", ""]), max_size=2
    ),
)
STEPS = st.builds(
    StepDefinition,
    NAMES,
    st.sampled_from([*TYPES, "", "NONE"]),
    st.dictionaries(FIELDS, st.one_of(st.none(), st.integers(), st.text(max_size=5), st.booleans()), max_size=4),
    st.lists(NAMES, max_size=3).map(tuple),
    st.lists(MAPPINGS, max_size=3).map(tuple),
    st.integers(-1, 12),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=4), st.dictionaries(FIELDS, st.integers(), max_size=2))
def test_whatever_is_sent_is_taken_or_told(steps: list[StepDefinition], config: dict[str, Any]) -> None:
    for field, said in findings(*steps, **config).items():
        assert field.split(".")[0] in ("steps", "config")
        assert said
