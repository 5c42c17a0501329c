"""The AsyncAPI document against the contract's events, the subjects in use and events as they are really published."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from compute.tasks.v1 import tasks_pb2
from compute.webhooks.v1.webhooks_pb2 import Notice

from gateway.documentation.asyncapi import document, verbs, workflow_verbs
from services.inference.announcements import render as render_run
from services.messaging.subjects.workers import inference_subject
from services.messaging.tenant_events import DOMAIN
from services.tasks.domain import Failure, Task, Verb
from services.tasks.events import render
from services.tasks.outgoing import outgoing
from services.worker.runs import AttemptKey, Run
from services.workflows.definition import ApprovalGate, Definition, StepDefinition
from services.workflows.domain import Decision, Row, Unit, Workflow, WorkflowVerb
from services.workflows.events import WorkflowEvents
from services.workflows.planning import Ended, Inputs, plan

ID = "0c5d1a3e-6a52-4a4e-9d3b-0d6a7e0f2a11"
CONTRACT = json.loads((Path(__file__).parent / "compute-api.json").read_text())["components"]["schemas"]
DOCUMENT = document()
# What the contract has no word for: the stable code beside error_message, how a result did by its measures, and what of
# the request the model could not take or does not know.
_ADDED = {"error_reason", "quality", "ignored", "warnings"}
_EVENTS = ("BaseEvent", "TaskCreatedEvent", "TaskStatusEvent", "InferenceStatusEvent", "PreprocessingStatusEvent")


SAID = {
    "ignored": [{"field": "negative_prompt", "words": ["blue"]}],
    "warnings": [
        {"reason": "PROMPT_WORDS_UNKNOWN", "message": "m", "words": ["beach"]},
        {"reason": "SIZE_UNUSUAL", "message": "m", "words": []},
    ],
}


def lives() -> Iterator[Task]:
    """Tasks whose outboxes hold every verb."""
    task = Task(ID, "acme", "GENERATION", "inference", "{}", 1, 1, 1, origin_instance="o", origin_zone="eu").created()
    running = task.claimed("w", 2)
    failure = Failure("DOWN", "no model", "UNAVAILABLE", retryable=True)
    yield running.completed("{}", (), 3).cleaned(4).gone(5, "")
    yield running.completed('{"quality":{"passed":false,"reasons":["LOW_CONFIDENCE"]}}', (), 3)
    yield running.completed(json.dumps(SAID, separators=(",", ":")), (), 3)
    yield running.failed(failure, (), 3, backoff=0).cancelled(4)
    yield running.returned((), 3)
    yield running.failed(Failure("BAD", "no", "VALIDATION", retryable=False), (), 3, backoff=0).replayed(4, 3)


def check(name: str, value: Any) -> None:
    components = {"components": DOCUMENT["components"], "$ref": f"#/components/schemas/{name}"}
    jsonschema_rs.validator_for(components, validate_formats=True).validate(value)


@pytest.mark.parametrize("name", _EVENTS)
def test_every_event_of_the_contract_has_exactly_its_fields(name: str) -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert set(schemas[name]["properties"]) - _ADDED == set(CONTRACT[name]["properties"])
    for field, wanted in CONTRACT[name]["properties"].items():
        found = schemas[name]["properties"][field]
        found = schemas[found["$ref"].rpartition("/")[2]] if "$ref" in found else found
        if "type" in wanted:
            assert (found["type"], found.get("format")) == (wanted["type"], wanted.get("format")), field


def test_every_verb_of_a_task_is_documented() -> None:
    assert set(verbs()) == {*Verb}
    assert {item.verb for task in lives() for item in task.outbox} == {*Verb}


def test_every_event_of_a_task_is_what_the_document_says() -> None:
    pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^.]+)", re.escape(DOCUMENT["channels"]["taskEvents"]["address"]))
    for task in lives():
        for item in task.outbox:
            sent = render(task, item)
            found = re.fullmatch(pattern, sent.subject)
            assert found is not None and found["verb"] in verbs()
            event = json.loads(sent.payload)
            check("TaskCreatedCloudEvent" if item.verb is Verb.CREATED else "TaskStatusCloudEvent", event)
            assert set(event["data"]) >= set(DOCUMENT["components"]["schemas"]["BaseEvent"]["required"])


INPUTS = Inputs(lambda _: 0, lambda _: None, lambda place: place == 0)


def workflow_lives() -> Iterator[Workflow]:
    """Workflows whose outboxes hold every verb."""
    step = StepDefinition("draw", "GENERATION", {"prompt": "a red mug"})
    stored = Definition((step,))
    made = Workflow(ID, "acme", "w", 1, 1, (Row(),), "o", origin_zone="eu", webhook_url="https://example.com/hook")
    running = plan(made.created(start=True), stored, {}, 2, INPUTS).workflow
    yield plan(running, stored, {Unit(0): Ended(1)}, 3, INPUTS).workflow.cleaned(4, files=True)
    yield plan(running, stored, {Unit(0): Ended(1, 2, "DOWN", "no model")}, 3, INPUTS).workflow.resumed(4)
    yield running.paused(3).cancelled(4)
    gated = Definition((replace(step, gate=ApprovalGate()), replace(step, id="never")))
    waiting = plan(replace(made, rows=(Row(), Row())).created(start=True), gated, {}, 2, INPUTS).workflow
    for approved in (True, False):
        decided = waiting.decided(3, 0, ("draw", "GENERATION"), Decision(approved, "ada", 3))
        yield plan(decided, gated, {}, 4, INPUTS).workflow


def test_every_event_of_a_workflow_is_what_the_document_says() -> None:
    pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^.]+)", re.escape(DOCUMENT["channels"]["workflowEvents"]["address"]))
    events, told = WorkflowEvents(lambda tenant, name: ID), set[str]()
    for workflow in workflow_lives():
        for entry in workflow.outbox:
            for sent in events.outgoing(workflow, entry):
                if sent.id.endswith(".hook"):
                    check("WorkflowCloudEvent", json.loads(Notice.FromString(sent.payload).body))
                    continue
                found = re.fullmatch(pattern, sent.subject)
                assert found is not None
                told.add(found["verb"])
                check("WorkflowCloudEvent", json.loads(sent.payload))
    assert told == set(workflow_verbs()) == {*WorkflowVerb}


def test_a_workflow_tells_its_webhook_how_it_ended_and_nothing_else() -> None:
    events = WorkflowEvents(lambda tenant, name: ID)
    sent = [one for life in workflow_lives() for entry in life.outbox for one in events.outgoing(life, entry)]
    hooked = [Notice.FromString(one.payload).event_type for one in sent if one.id.endswith(".hook")]
    assert sorted(set(hooked)) == [f"atelier.workflow.{verb}.v1" for verb in ("cancelled", "completed", "failed")]


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (
            {"quality": {"passed": False, "reasons": ["LOW_CONFIDENCE"]}},
            {"passed": False, "reasons": ["LOW_CONFIDENCE"]},
        ),
        ({"quality": {"passed": True, "reasons": []}}, {"passed": True, "reasons": []}),
        ({"quality": None}, None),
        ({"result_text": '"quality":{"passed":false}'}, None),
        ({"output": {"quality": {"passed": False}}}, None),
    ],
)
def test_an_event_and_a_webhook_say_how_a_result_did(result: dict[str, Any], said: dict[str, Any] | None) -> None:
    spec = json.dumps({"common": {"webhook_url": "https://example.com/hook"}}, separators=(",", ":"))
    task = Task(ID, "acme", "REFINE", "inference", spec, 1, 1, 1, origin_instance="o").created().claimed("w", 2)
    ended = task.completed(json.dumps(result, separators=(",", ":")) + '\n[["a.png","00"]]', (), 3)
    event, notice = outgoing(ended, ended.outbox[-1])
    for body in (event.payload, Notice.FromString(notice.payload).body):
        assert json.loads(body)["data"].get("quality") == said
    later = ended.cleaned(4)
    assert "quality" not in json.loads(render(later, later.outbox[-1]).payload)["data"]


def test_an_event_names_what_was_not_heard_and_quotes_no_word_of_it() -> None:
    task = Task(ID, "acme", "GENERATION", "inference", "{}", 1, 1, 1, origin_instance="o").created().claimed("w", 2)
    ended = task.completed(json.dumps(SAID, separators=(",", ":")) + '\n[["a.png","00"]]', (), 3)
    payload = next(outgoing(ended, ended.outbox[-1])).payload
    data = json.loads(payload)["data"]
    assert (data["ignored"], data["warnings"]) == (["negative_prompt"], ["PROMPT_WORDS_UNKNOWN", "SIZE_UNUSUAL"])
    assert b"blue" not in payload
    assert b"beach" not in payload


def test_what_a_worker_announces_is_what_the_document_says() -> None:
    task = tasks_pb2.Task(id=ID, tenant="acme", task_type="GENERATION", attempt=1)
    task.spec.origin.instance, task.spec.origin.zone = "o", "eu"
    job: Any = None
    run = Run(AttemptKey(ID, 1), task, job, 0.0)
    check("InferenceStatusCloudEvent", render_run(run, "EXECUTING", 1, {}))
    said = {"completed_at": "2026-01-01T00:00:00.000000Z", "result_image_path": "a.png", "prompt_id": "x"}
    check("InferenceStatusCloudEvent", render_run(run, "COMPLETED", 2, said))
    address = DOCUMENT["channels"]["inferenceStatus"]["address"]
    assert address.format(tenant="acme", task_id=ID) == inference_subject("acme", ID)


def test_another_shape_is_noticed() -> None:
    task = next(lives())
    event = json.loads(render(task, task.outbox[-1]).payload)
    for wrong in ({**event, "specversion": "0.3"}, {**event, "data": {**event["data"], "status": "ASLEEP"}}):
        with pytest.raises(jsonschema_rs.ValidationError):
            check("TaskStatusCloudEvent", wrong)


def test_the_document_is_asyncapi_3_and_every_reference_leads_somewhere() -> None:
    """The shape that AsyncAPI 3.0 asks for; its own JSON schema is in no package we have."""
    required, known = {"asyncapi", "info"}, {"defaultContentType", "servers", "channels", "operations", "components"}
    assert required <= set(DOCUMENT) <= required | known
    assert DOCUMENT["asyncapi"] == "3.0.0" and {"title", "version"} <= set(DOCUMENT["info"])
    assert all({"host", "protocol"} <= set(server) for server in DOCUMENT["servers"].values())
    for channel in DOCUMENT["channels"].values():
        named = re.findall(r"\{(\w+)\}", channel["address"] or "")
        assert named == list(channel.get("parameters", {}))
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] in ("send", "receive")
        place = operation["channel"]["$ref"]
        assert all(message["$ref"].startswith(f"{place}/messages/") for message in operation["messages"])
    for reference in references(DOCUMENT):
        node: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_it_says_how_to_enter_nats_and_what_is_open_there() -> None:
    [needed] = DOCUMENT["servers"]["nats"]["security"]
    scheme = DOCUMENT["components"]["securitySchemes"][needed["$ref"].rpartition("/")[2]]
    assert scheme["type"] == "asymmetricEncryption"
    for name in ("`events`", "`tenant-<tenant>`", f"`{DOMAIN}`"):
        assert name in scheme["description"]


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_it_is_printed_without_a_stack() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "gateway.documentation.asyncapi"], capture_output=True, check=True, text=True
    )
    assert json.loads(printed.stdout) == DOCUMENT
