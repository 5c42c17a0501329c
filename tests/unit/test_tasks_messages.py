"""What a task keeps of its spec."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from compute.tasks.v1 import tasks_pb2 as pb
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import InvalidRequest
from services.rpc.proto import get_object, put_object
from services.tasks.domain import Task
from services.tasks.messages import Messages
from services.tasks.requests import check_spec

CONFIG = {"null": None, "list": [None, {"deep": None}], "empty": "", "none": [], "zero": 0, "no": False}


def request() -> pb.CreateTaskRequest:
    wanted = pb.CreateTaskRequest()
    wanted.spec.origin.instance = "here"
    wanted.spec.priority = 7
    put_object(wanted.spec, "config", CONFIG)
    wanted.spec.params.diagnostic.payload = ""
    wanted.spec.params.diagnostic.duration_ms = 0
    return wanted


def kept(spec: str) -> Task:
    return Task(
        id="t", tenant="a", task_type="DIAGNOSTIC", queue="q", spec=spec, priority=7, created_at=1, updated_at=1
    )


def test_the_stored_spec_reads_back_as_it_was_sent() -> None:
    text = Messages().new_task("a", request()).spec
    assert Messages().task(kept(text)).spec == request().spec


def test_what_was_just_created_is_shown_without_being_read_again() -> None:
    messages = Messages()
    text = messages.new_task("a", request()).spec
    assert messages.task(kept(text)).spec == Messages().task(kept(text)).spec


def test_the_stored_spec_holds_no_nulls_but_the_callers_own() -> None:
    text = Messages().new_task("a", request()).spec
    assert text.count(":null") == str(CONFIG).count(": None")


def test_a_task_accepted_with_a_blank_prompt_once_is_still_read() -> None:
    wanted = pb.CreateTaskRequest()
    wanted.spec.origin.instance = "here"
    wanted.spec.params.generation.prompt = "a red mug"
    wanted.spec.provider_config.update({"negative_prompt": "blue"})
    spec = Messages().new_task("a", wanted).spec.replace("a red mug", " ").replace('"blue"', '" "')
    task = replace(kept(spec), task_type="GENERATION")
    assert Messages().task(task).spec.params.generation.prompt == " "


def test_a_configuration_without_a_provider_is_that_of_the_type_s_own() -> None:
    wanted = pb.CreateTaskRequest()
    wanted.spec.origin.instance = "here"
    wanted.spec.params.llm_interaction.prompt = "hello"
    wanted.spec.provider_config.update({"ai_provider": "ollama"})
    task = Messages().new_task("acme", wanted)
    assert '"provider_type":"AI_CORE"' in task.spec


def test_what_a_caller_says_in_struct_alone_is_kept_in_the_order_of_the_names() -> None:
    wanted = request()
    wanted.spec.ClearField("config_json")
    stored = orjson.loads(Messages().new_task("a", wanted).spec)["common"]["config"]
    assert stored == CONFIG and list(stored) == sorted(CONFIG)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[1]", "dictionary"),
        ('"x"', "dictionary"),
        ("{", "dictionary"),
        ('{"a":NaN}', "dictionary"),
        ("[" * 100_000, "dictionary"),
        ('{"a":18446744073709551616}', "64 bits"),
        ('{"a":' + "[" * 20 + "]" * 20 + "}", "nested"),
        ('{"a":"' + "x" * 70_000 + '"}', "characters"),
        ('{"a":[' + "[]," * 8_200 + "0]}", "members"),
    ],
)
def test_a_free_object_that_cannot_be_kept_is_refused_by_name(text: str, why: str) -> None:
    wanted = request()
    wanted.spec.config_json = text
    with pytest.raises(InvalidRequest, match=why) as caught:
        Messages().new_task("a", wanted)
    assert [item.field for item in caught.value.violations] == ["spec.config"]


def test_a_request_hears_of_everything_that_is_wrong_with_it() -> None:
    wanted = request()
    wanted.spec.params.diagnostic.duration_ms = -1
    wanted.spec.priority, wanted.spec.queue_name, wanted.spec.origin.instance = 101, "no queue", ""
    wanted.inputs_folder, wanted.idempotency_key = "elsewhere/", "k" * 256
    with pytest.raises(InvalidRequest) as caught:
        Messages().new_task("a", wanted)
    assert {item.field for item in caught.value.violations} == {
        "spec.params.diagnostic.duration_ms",
        "spec.priority",
        "spec.queue_name",
        "spec.origin_instance",
        "inputs_folder",
        "idempotency_key",
    }


def test_a_request_without_parameters_hears_of_the_rest_too() -> None:
    wanted = pb.CreateTaskRequest()
    wanted.spec.priority = -1
    with pytest.raises(InvalidRequest) as caught:
        Messages().new_task("a", wanted)
    assert {"spec.params", "spec.priority", "spec.origin_instance"} == {item.field for item in caught.value.violations}


def test_two_forms_that_differ_are_refused() -> None:
    wanted = request()
    check_spec(wanted.spec)
    wanted.spec.config.update({"more": 1})
    with pytest.raises(InvalidRequest) as caught:
        check_spec(wanted.spec)
    assert [item.field for item in caught.value.violations] == ["spec.config_json"]


def test_an_update_takes_either_form_exactly() -> None:
    task = kept(Messages().new_task("a", request()).spec)
    text = '{"b":9007199254740993,"a":{"z":null,"y":7.0}}'
    spec, _ = Messages().edit(pb.UpdateTaskRequest(task_id="t", config_json=text))(task)
    changed = Messages().task(kept(spec)).spec
    assert changed.config_json == text and get_object(changed, "config")["b"] == 2**53 + 1


def test_a_provider_s_settings_do_not_hide_what_else_is_wrong() -> None:
    wanted = pb.CreateTaskRequest()
    wanted.spec.origin.instance, wanted.spec.priority = "here", 101
    wanted.spec.params.generation.prompt = "a mug"
    put_object(wanted.spec, "config", {"webhook_events": ["nothing"]})
    put_object(wanted.spec, "provider_config", {"steps": 0, "unknown": 1})
    put_object(wanted.spec, "fallback_provider_config", {})
    with pytest.raises(InvalidRequest) as caught:
        Messages().new_task("a", wanted)
    found = {item.field: item.description for item in caught.value.violations}
    assert set(found) == {"spec.priority", "spec.config", "spec.provider_config", "spec.fallback_provider_config"}
    assert "steps" in found["spec.provider_config"] and "unknown" in found["spec.provider_config"]


@given(
    st.text(max_size=30)
    | st.from_regex(r"\A\{(\"[ab]\":(-?[0-9]{1,25}(\.[0-9]|[eE][0-9]{1,3})?|null|\[\]|\"\\u[0-9a-f]{4}\"),?)*\}?\Z")
)
def test_any_text_for_a_free_object_is_kept_or_refused(text: str) -> None:
    wanted = request()
    wanted.spec.config_json = text
    try:
        kept_text = Messages().new_task("a", wanted).spec
    except InvalidRequest:
        return
    shown = Messages().task(kept(kept_text)).spec
    assert orjson.loads(shown.config_json) == orjson.loads(text)
    check_spec(shown)
