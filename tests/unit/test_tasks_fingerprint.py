"""A repeated request is the same request, however it is spelled."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from random import Random
from typing import Any

import orjson
import pytest
from compute.tasks.v1 import tasks_pb2 as pb
from hypothesis import given
from hypothesis import strategies as st

from services.catalog.base import CommonFields, TaskKind
from services.catalog.free_json import canonical
from services.catalog.tasks import TYPES
from services.catalog.webhook_events import CONTENT_TYPE, KEY
from services.rpc.proto import put_object
from services.tasks.domain import Task
from services.tasks.fingerprint import fingerprint, same_request
from services.tasks.messages import Messages

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
# Without those members that may not be just anything.
OBJECTS = st.dictionaries(st.text().filter(lambda name: name not in (KEY, CONTENT_TYPE)), JSON, max_size=5)


def respelled(value: Any, random: Random) -> Any:
    """The same in another order of members, whole numbers as doubles where these hold them."""
    if isinstance(value, dict):
        names = random.sample(list(value), len(value))
        return {name: respelled(value[name], random) for name in names}
    if isinstance(value, list):
        return [respelled(item, random) for item in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    other = int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else float(value)
    return other if other == value else value


def made(spec: str, *, first_rule: bool = False) -> Task:
    task = Task("t", "a", "GENERATION", "q", spec, priority=0, created_at=1, updated_at=1)
    text = hashlib.sha256(f"GENERATION\nq\n{spec}".encode()).hexdigest()
    return replace(task, fingerprint=text if first_rule else fingerprint("GENERATION", spec))


def spec_of(config: dict[str, Any], **params: Any) -> str:
    request = pb.CreateTaskRequest()
    request.spec.origin.instance = "here"
    put_object(request.spec, "config", config)
    request.spec.params.generation.prompt = "a mug"
    for name, value in params.items():
        setattr(request.spec.params.generation, name, value)
    return Messages().new_task("a", request).spec


@given(OBJECTS, st.integers())
def test_members_in_another_order_and_numbers_in_another_spelling_are_the_same(
    config: dict[str, Any], seed: int
) -> None:
    again = respelled(config, Random(seed))
    assert same_request(made(spec_of(config)), made(spec_of(again)))


@given(OBJECTS, OBJECTS)
def test_what_means_something_else_is_not(one: dict[str, Any], other: dict[str, Any]) -> None:
    same = canonical(one) == canonical(other)
    assert same_request(made(spec_of(one)), made(spec_of(other))) is same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"a": True}),
        ({"a": 0}, {"a": False}),
        ({"a": None}, {}),
        ({"a": 2**53 + 1}, {"a": 2**53}),
        ({"a": "7"}, {"a": 7}),
    ],
)
def test_near_misses_are_told_apart(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert not same_request(made(spec_of(one)), made(spec_of(other)))


@pytest.mark.parametrize("text", ["7", "7.0", "7e0", "70E-1"])
def test_a_number_has_one_spelling(text: str) -> None:
    assert canonical(orjson.loads(text)) == b"7"


def test_zero_has_one_sign() -> None:
    assert canonical(orjson.loads("-0.0")) == canonical(-0.0) == b"0"


def test_a_default_written_out_is_the_same_as_none() -> None:
    left_out, written = orjson.loads(spec_of({})), orjson.loads(spec_of({}))
    written["common"]["priority"] = CommonFields.model_fields["priority"].default
    left_out["common"].pop("priority", None)
    assert same_request(made(orjson.dumps(left_out).decode()), made(orjson.dumps(written).decode()))


def test_a_task_stored_under_the_first_rule_answers_its_key() -> None:
    stored = made(
        '{"common":{"origin_instance":"here","config":{"b":7,"a":0}},"params":{"prompt":"a mug"}}', first_rule=True
    )
    assert same_request(
        stored, made('{"common":{"origin_instance":"here","config":{"a":0.0,"b":7.0}},"params":{"prompt":"a mug"}}')
    )
    assert not same_request(
        stored, made('{"common":{"origin_instance":"here","config":{"a":0,"b":8}},"params":{"prompt":"a mug"}}')
    )


def test_one_that_was_changed_since_is_known_by_its_text() -> None:
    asked = spec_of({"a": 1})
    stored = replace(made(asked, first_rule=True), spec=spec_of({"a": 2}))
    assert same_request(stored, made(asked)) and not same_request(stored, made(spec_of({"a": 3})))


def test_a_rule_of_a_later_version_matches_nothing() -> None:
    asked = made(spec_of({}))
    assert not same_request(replace(asked, fingerprint="3:" + "0" * 64), asked)


@pytest.mark.parametrize("kind", TYPES.values(), ids=lambda kind: kind.name)
def test_defaults_of_every_type_written_out_are_the_same_as_none(kind: TaskKind) -> None:
    unchecked = kind.params.model_construct()
    written = {name: value for name, value in unchecked.model_dump(mode="json").items() if value is not None}
    left_out = fingerprint(kind.name, '{"common":{},"params":{}}')
    assert fingerprint(kind.name, orjson.dumps({"common": {}, "params": written}).decode()) == left_out


def test_the_rule_of_this_version_stays_as_it_is() -> None:
    """Whoever changes it breaks the keys of every task that is stored: make another version."""
    spec = '{"common":{"origin_instance":"here","config":{"b":7.0,"a":[null,true,"\u00e9"]}},"params":{"prompt":"x"}}'
    assert fingerprint("GENERATION", spec) == "2:520ee4eb40b08bd8ff53e61b66f0bd80918ab4d0e81376a5ec88f24fc53b789d"


def test_the_provider_that_decides_the_queue_changes_no_fingerprint_and_a_named_queue_does() -> None:
    """Tasks of outside providers waited in `inference` when the rule was made."""
    asked = '{"common":{"provider_type":"FAL"},"params":{"prompt":"x"}}'
    named = '{"common":{"provider_type":"FAL","queue_name":"providers"},"params":{"prompt":"x"}}'
    before = replace(made(asked), queue="inference", fingerprint=fingerprint("GENERATION", asked))
    assert same_request(before, replace(before, queue="providers"))
    assert fingerprint("GENERATION", named) != fingerprint("GENERATION", asked)
