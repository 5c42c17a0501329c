"""Requests read from messages: validated, or refused with everything that is wrong."""

from __future__ import annotations

import re
from typing import NamedTuple

from compute.tasks.v1 import tasks_pb2 as pb
from pydantic import ValidationError

from services.catalog.base import CommonFields, TaskKind, TaskParams
from services.catalog.folders import is_inputs_folder
from services.catalog.tasks import TYPES
from services.common.errors import InvalidRequest, Violation, ViolationCollector, check_field, wrong_field
from services.common.parents import TaskParent
from services.rpc.proto import check_objects, invalid, read, to_dict

MAX_KEY_LENGTH = 255
ORIGIN = {
    "origin_instance": "instance",
    "origin_zone": "zone",
    "origin_version": "version",
    "origin_tenant_id": "tenant_id",
    "origin_reference": "reference",
}
_KIND = re.compile(r"[a-z]{1,32}")


class TaskRequest(NamedTuple):
    """A task that somebody wants. `inputs` is the folder of the pictures that came with the request."""

    kind: TaskKind
    common: CommonFields
    params: TaskParams
    inputs: str | None
    parent: TaskParent | None = None


def read_request(request: pb.CreateTaskRequest) -> TaskRequest:
    """Raises InvalidRequest with a violation for each field that cannot be used."""
    kind, refusals = _kind(request.spec), ViolationCollector()
    with refusals:
        params = _read_params(request.spec, kind)
    with refusals:
        common = _read_common(request.spec, kind)
    with refusals:
        inputs = _inputs(request.inputs_folder)
    with refusals:
        check_key(request.idempotency_key)
    with refusals:
        parent = _read_step(request)
    refusals.told()
    assert kind is not None
    return TaskRequest(kind, common, params, inputs, parent)


def for_services(request: pb.CreateTaskRequest) -> bool:
    """Whether it says what only services of the deployment may say."""
    return request.HasField("parent") or request.quiet or request.HasField("max_attempts")


def read_parent(said: pb.TaskParent) -> TaskParent:
    """Raises InvalidRequest."""
    check_field("parent.kind", bool(_KIND.fullmatch(said.kind)), "must be 1 to 32 small letters")
    check_field("parent.id", 1 <= len(said.id) <= 64, "must have 1 to 64 characters")
    check_field("parent.step", 1 <= len(said.step) <= 256, "must have 1 to 256 characters")
    check_field("parent.attempt", said.attempt >= 0, "must not be negative")
    return TaskParent(said.kind, said.id, said.step, said.attempt)


def _read_step(request: pb.CreateTaskRequest) -> TaskParent | None:
    if request.HasField("max_attempts"):
        check_field("max_attempts", 1 <= request.max_attempts <= 100, "must be from 1 to 100")
    if not request.HasField("parent"):
        return None
    check_field("idempotency_key", not request.idempotency_key, "goes without parent")
    return read_parent(request.parent)


def check_spec(spec: pb.TaskSpec) -> None:
    """Raises InvalidRequest where it says in two forms what is not the same."""
    kind = spec.params.WhichOneof("params") or ""
    wrong = check_objects(spec, prefix="spec.")
    check_forms(wrong + check_objects(getattr(spec.params, kind), prefix=f"spec.params.{kind}."))


def check_forms(wrong: tuple[Violation, ...]) -> None:
    if wrong:
        raise InvalidRequest("; ".join(f"{item.field} {item.description}" for item in wrong), violations=wrong)


def _kind(spec: pb.TaskSpec) -> TaskKind | None:
    name = spec.params.WhichOneof("params")
    return None if name is None else TYPES[name.upper()]


def _read_params(spec: pb.TaskSpec, kind: TaskKind | None) -> TaskParams:
    if kind is None:
        raise wrong_field("spec.params", "must name the parameters of one task type")
    return read(getattr(spec.params, kind.field), kind.params, prefix=f"spec.params.{kind.field}.")


def check_key(key: str) -> None:
    check_field("idempotency_key", len(key) <= MAX_KEY_LENGTH, f"must have at most {MAX_KEY_LENGTH} characters")


def _inputs(folder: str) -> str | None:
    if folder and not is_inputs_folder(folder):
        raise wrong_field("inputs_folder", "is no folder of a request's pictures")
    return folder or None


def _read_common(spec: pb.TaskSpec, kind: TaskKind | None) -> CommonFields:
    values = to_dict(spec, CommonFields)
    config = values.get("provider_config")
    if kind is not None and kind.default_provider is not None and not _names_provider(config):
        # Otherwise the configuration would be taken for our own models'.
        values["provider_type"] = values.get("provider_type") or kind.default_provider
    for name, member in ORIGIN.items():
        if member == "instance":
            values[name] = spec.origin.instance
        elif spec.origin.HasField(member):
            values[name] = getattr(spec.origin, member)
    try:
        return CommonFields.model_validate(values)
    except ValidationError as error:
        raise invalid(error, prefix="spec.") from error


def _names_provider(config: object) -> bool:
    return isinstance(config, dict) and "provider_type" in config
