"""What a task keeps of its spec."""

from __future__ import annotations

from compute.tasks.v1 import tasks_pb2 as pb

from services.tasks.domain import Task
from services.tasks.messages import Messages

CONFIG = {"null": None, "list": [None, {"deep": None}], "empty": "", "none": [], "zero": 0, "no": False}


def request() -> pb.CreateTaskRequest:
    wanted = pb.CreateTaskRequest()
    wanted.spec.origin.instance = "here"
    wanted.spec.priority = 7
    wanted.spec.config.update(CONFIG)
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


def test_a_configuration_without_a_provider_is_that_of_the_type_s_own() -> None:
    wanted = pb.CreateTaskRequest()
    wanted.spec.origin.instance = "here"
    wanted.spec.params.llm_interaction.prompt = "hello"
    wanted.spec.provider_config.update({"ai_provider": "ollama"})
    task = Messages().new_task("acme", wanted)
    assert '"provider_type":"AI_CORE"' in task.spec
