"""What is refused when a task is created because of how the deployment is set up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from compute.tasks.v1 import params_pb2, tasks_pb2

from services.catalog.tasks import TYPES
from services.common.errors import InvalidRequest
from services.net.addresses import AddressPolicy
from services.tasks.messages import Messages
from services.tasks.reference_policy import ReferencePolicy

PATH = "inputs/a.png"
# Every parameter of a picture, by type, with what else the type needs.
PICTURES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "image_adjuster": ({"input_image": PATH, "aspect_ratio": 1.0}, ("input_image", "reference_image")),
    "background_fix": ({"base_image": PATH, "palette_image": PATH}, ("base_image", "palette_image")),
    "background_removal": ({"input_image_paths": {"values": [PATH]}}, ("input_image_paths",)),
    "editing": ({"base_image": PATH, "prompt": "x"}, ("base_image", "mask_image", "reference_images")),
    "refine": ({"base_image_url": PATH}, ("base_image_url",)),
    "detail_enhancer": ({"base_image": PATH, "reference_image": PATH}, ("base_image", "reference_image")),
    "face_enhancer": ({"input_image": PATH}, ("input_image",)),
    "video_generation": ({"input_image_path": PATH, "prompt": "x"}, ("input_image_path",)),
    "generation": ({"prompt": "x"}, ("reference_image_path", "reference_image_url")),
    "llm_interaction": ({"prompt": "x"}, ("input_images",)),
}
FIELDS = [(kind, field) for kind, (_, fields) in PICTURES.items() for field in fields]
LISTS = ("input_image_paths", "reference_images", "input_images")


def request(kind: str = "diagnostic", webhook: str | None = None, **fields: Any) -> tasks_pb2.CreateTaskRequest:
    wanted = tasks_pb2.CreateTaskRequest()
    wanted.spec.origin.instance = "test"
    given = {**PICTURES[kind][0], **fields} if kind in PICTURES else fields
    wanted.spec.params.CopyFrom(params_pb2.TaskParams(**{kind: given}))
    if webhook is not None:
        wanted.spec.webhook_url = webhook
    return wanted


def refused(wanted: tasks_pb2.CreateTaskRequest, door: ReferencePolicy | None = None) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        Messages(door).new_task("acme", wanted)
    return caught.value


@pytest.mark.parametrize(("kind", "field"), FIELDS)
def test_a_local_file_is_refused_in_every_type(kind: str, field: str) -> None:
    url = "file:///etc/passwd.png"
    given: dict[str, Any] = {field: {"values": [url]} if field in LISTS else url}
    error = refused(request(kind, **given))
    assert any(item.field.startswith(f"spec.params.{kind}.{field}") for item in error.violations)
    assert "passwd" not in error.message


def test_every_parameter_that_takes_a_picture_is_asked_about() -> None:
    named = ("image", "images", "image_path", "image_paths", "image_url")
    found = {
        (kind.field, name)
        for kind in TYPES.values()
        for name in kind.params.model_fields
        if name.endswith(named) and not kind.internal
    }
    assert found <= set(FIELDS)


def test_a_local_file_below_the_workers_roots_is_taken() -> None:
    door = ReferencePolicy(local_roots=(Path("/pictures"),))
    Messages(door).new_task("acme", request("image_adjuster", input_image="file:///pictures/a/b.png"))
    error = refused(request("image_adjuster", input_image="file:///elsewhere/a.png"), door)
    assert error.reason == "URL_NOT_ALLOWED"
    assert [item.field for item in error.violations] == ["spec.params.image_adjuster.input_image"]


@pytest.mark.field("43")
@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("https://shop.example.com:9443/hook", "80, 443, 8080, 8443"),
        ("http://shop.example.com:22/", "80, 443, 8080, 8443"),
        ("http://localhost:9000/hook", "8443"),
        ("http://localhost/hook", "public"),
        ("http://127.0.0.1/hook", "public"),
        ("http://[::1]:8080/hook", "public"),
    ],
)
def test_a_webhook_that_would_not_be_called_is_refused_at_once(url: str, named: str) -> None:
    error = refused(request(webhook=url))
    assert error.reason == "URL_NOT_ALLOWED"
    assert [item.field for item in error.violations] == ["spec.webhook_url"]
    assert named in error.violations[0].description


@pytest.mark.parametrize(
    ("url", "reach"),
    [
        ("https://shop.example.com/hook", AddressPolicy()),
        ("https://shop.example.com:8443/hook", AddressPolicy()),
        ("https://shop.example.com:9443/hook", AddressPolicy(ports=frozenset({9443}))),
        ("http://hooks.example.com:9000/", AddressPolicy(private=frozenset({"hooks.example.com:9000"}))),
        ("http://localhost:9000/hook", AddressPolicy(loopback=True)),
        ("http://127.0.0.1:3000/hook", AddressPolicy(loopback=True)),
    ],
)
def test_a_webhook_that_would_be_called_is_taken(url: str, reach: AddressPolicy) -> None:
    Messages(ReferencePolicy(reach)).new_task("acme", request(webhook=url))


def test_a_task_that_was_stored_before_the_door_was_asked_is_still_read() -> None:
    new = Messages(ReferencePolicy(AddressPolicy(ports=frozenset({9443})))).new_task(
        "acme", request(webhook="https://a.example:9443/")
    )
    assert '"webhook_url":"https://a.example:9443/"' in new.spec
