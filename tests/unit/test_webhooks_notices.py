"""Which tasks have a notice published beside their events."""

from __future__ import annotations

import json
from typing import Any

import pytest
from compute.tasks.v1 import params_pb2, tasks_pb2
from compute.webhooks.v1 import webhooks_pb2

from services.catalog.webhook_events import EVENTS
from services.common.errors import InvalidRequest
from services.tasks.domain import Task, Verb
from services.tasks.messages import Messages
from services.tasks.outgoing import outgoing

URL = "https://hooks.example.com/a?token=x"


def task(**common: Any) -> Task:
    """As the service stores it, completed."""
    request = tasks_pb2.CreateTaskRequest()
    request.spec.origin.instance = "test"
    request.spec.params.diagnostic.CopyFrom(params_pb2.DiagnosticParams(payload='"webhook_url":"https://no.example/"'))
    config = common.pop("config", None)
    if config is not None:
        request.spec.config.update(config)
    for name, value in common.items():
        setattr(request.spec, name, value)
    new = Messages().new_task("acme", request)
    made = Task("t1", "acme", new.task_type, "q", new.spec, 50, created_at=1, updated_at=1).created()
    return made.claimed("w", 2).completed("{}", (), 3)


def verbs_noticed(made: Task) -> list[str]:
    found = [message for item in made.outbox for message in list(outgoing(made, item))[1:]]
    return [webhooks_pb2.Notice.FromString(message.payload).event_type.split(".")[2] for message in found]


def test_a_task_without_a_webhook_has_its_events_and_nothing_else() -> None:
    made = task()
    assert [len(list(outgoing(made, item))) for item in made.outbox] == [1, 1, 1]


def test_a_task_with_a_webhook_has_a_notice_of_how_it_ended_and_the_event_is_its_body() -> None:
    made = task(webhook_url=URL)
    assert verbs_noticed(made) == ["completed"]
    event, notice = outgoing(made, made.outbox[-1])
    said = webhooks_pb2.Notice.FromString(notice.payload)
    assert (said.tenant, said.task_id, said.event_id, said.url) == ("acme", "t1", event.id, URL)
    assert said.body == event.payload and notice.subject == "webhooks.v1.acme"
    assert notice.id != event.id
    assert b"hooks.example.com" not in event.payload


@pytest.mark.parametrize("chosen", [[], ["created"], ["executing", "completed"]])
def test_a_task_may_choose_its_events(chosen: list[str]) -> None:
    assert verbs_noticed(task(webhook_url=URL, config={"webhook_events": chosen, "other": 1})) == chosen


@pytest.mark.field("44")
@pytest.mark.parametrize("chosen", ["application/json", "application/cloudevents+json", None])
def test_a_task_may_choose_the_content_type_of_its_calls(chosen: str | None) -> None:
    made = task(webhook_url=URL, config={"webhook_content_type": chosen} if chosen else None)
    _, notice = outgoing(made, made.outbox[-1])
    said = webhooks_pb2.Notice.FromString(notice.payload)
    assert said.content_type == (chosen or "application/cloudevents+json")


@pytest.mark.parametrize("chosen", ["text/plain", 1, ["application/json"], ""])
def test_a_content_type_that_is_none_is_refused(chosen: Any) -> None:
    with pytest.raises(InvalidRequest, match="webhook_content_type"):
        task(webhook_url=URL, config={"webhook_content_type": chosen})


@pytest.mark.parametrize("chosen", [[], ["deleted"]])
def test_that_a_task_was_deleted_is_noticed_whether_or_not_its_webhook_hears_of_it(chosen: list[str]) -> None:
    made = task(webhook_url=URL, config={"webhook_events": chosen, "webhook_content_type": "application/json"})
    gone = made.gone(9, Messages().last_words(made))
    event, notice = outgoing(gone, gone.outbox[-1])
    said = webhooks_pb2.Notice.FromString(notice.payload)
    assert (said.task_deleted, said.url, said.content_type) == (True, URL, "application/json")
    assert said.body == (event.payload if chosen else b"")


def test_a_configuration_that_names_an_address_is_no_webhook() -> None:
    assert verbs_noticed(task(config={"webhook_url": URL})) == []


@pytest.mark.parametrize("chosen", ["completed", [1], ["done"], {"completed": True}, [["completed"]]])
def test_a_choice_that_names_no_events_is_refused(chosen: Any) -> None:
    with pytest.raises(InvalidRequest, match="webhook_events"):
        task(webhook_url=URL, config={"webhook_events": chosen})


@pytest.mark.parametrize("stored", ["completed", [["completed"]], 7])
def test_a_choice_stored_before_anybody_checked_it_stops_nothing(stored: Any) -> None:
    spec = json.loads(task(webhook_url=URL).spec)
    spec["common"]["config"] = {"webhook_events": stored}
    made = Task(
        "t1", "acme", "DIAGNOSTIC", "q", json.dumps(spec, separators=(",", ":")), 50, created_at=1, updated_at=1
    )
    assert list(outgoing(made.created(), made.created().outbox[0]))


def test_the_names_are_those_of_the_events() -> None:
    assert set(Verb) == EVENTS
