"""Every event is a CloudEvent as other people's libraries have it, and its schema is where it says."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest
from compute.tasks.v1 import tasks_pb2
from compute.webhooks.v1.webhooks_pb2 import Notice

from gateway.documentation.asyncapi import data_schema
from services.common.settings import ServiceSettings
from services.inference.announcements import render as render_run
from services.messaging.event_schemas import NAMELESS, schemas_at
from services.tasks.domain import Task
from services.tasks.outgoing import outgoing
from services.worker.runs import AttemptKey, Run
from tests.cloudevents import faults
from tests.contract.test_asyncapi import ID, lives

SPEC = '{"common":{"webhook_url":"https://shop.example/hook","config":{"webhook_events":["%s"]}}}'
BASES = [NAMELESS, schemas_at("https://api.example.com/atelier"), schemas_at("http://127.0.0.1:8080/")]


def rendered(schemas: str) -> list[bytes]:
    """Each kind of event there is, and what webhooks are sent."""
    found: list[bytes] = []
    for life in lives():
        for item in life.outbox:
            named = Task(**{**life.__dict__, "spec": SPEC % item.verb})
            event, notice = outgoing(named, item, schemas)
            found += [event.payload, Notice.FromString(notice.payload).body]
    task = tasks_pb2.Task(id=ID, tenant="acme", task_type="GENERATION", attempt=1)
    nothing: Any = None
    run = Run(AttemptKey(ID, 1), task, nothing, 0.0)
    found.append(json.dumps(render_run(run, "EXECUTING", 1, {}, schemas)).encode())
    return found


@pytest.mark.field("dataschema")
@pytest.mark.parametrize("schemas", BASES)
def test_every_event_is_a_cloudevent(schemas: str) -> None:
    events = rendered(schemas)
    assert len({json.loads(event)["type"] for event in events}) == 11
    assert [fault for event in events for fault in faults(event)] == []


@pytest.mark.parametrize("schemas", BASES)
def test_the_data_of_every_event_is_what_its_schema_says(schemas: str) -> None:
    for event in map(json.loads, rendered(schemas)):
        address = event["dataschema"]
        schema = data_schema(address, address.removeprefix(schemas))
        assert schema is not None and schema["$id"] == address
        jsonschema_rs.validator_for(schema, validate_formats=True).validate(event["data"])


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"dataschema": "compute.events.v1.TaskStatusEvent"}, "dataschema is no absolute URI"),
        ({"dataschema": "/schemas/x"}, "dataschema is no absolute URI"),
        ({"dataschema": ""}, "dataschema is no absolute URI"),
        ({"dataschema": "http://a b/"}, "dataschema is no absolute URI"),
        ({"time": "2026-11-30 08:00:00"}, "time is not of RFC 3339"),
        ({"time": "2026-13-30T08:00:00Z"}, "time is not of RFC 3339"),
        ({"id": ""}, "id is missing"),
        ({"specversion": "0.3"}, "specversion is not 1.0"),
        ({"subject": ""}, "subject is empty"),
        ({"trace_id": "x"}, "trace_id is no name of an attribute"),
        ({"tenant": {}}, "tenant is of no type that attributes have"),
    ],
)
def test_the_rules_notice_what_is_none(change: dict[str, Any], fault: str) -> None:
    event = json.loads(rendered(NAMELESS)[0])
    assert fault in faults(json.dumps(event | change))


@pytest.mark.parametrize("url", ["api.example.com", "ftp://a", "/atelier", "https://", "https://a/?b"])
def test_an_address_that_is_none_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(ValueError, match="absolute"):
        ServiceSettings(internal_token="x", public_url=url)
