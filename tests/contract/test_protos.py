"""Every task type of the catalog against its protobuf messages, and the other way round."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import pytest
from compute.common.v1.common_pb2 import StringList
from compute.tasks.v1 import params_pb2, tasks_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.struct_pb2 import Struct
from pydantic import BaseModel, create_model

from services.catalog.base import CommonFields, TaskKind
from services.catalog.enums import TaskStatus
from services.catalog.tasks import PUBLIC_TYPES, TYPES
from services.rpc.proto import fill, read

EVERY_TYPE = [pytest.param(kind, id=kind.name) for kind in TYPES.values()]
_SCALARS = {
    FieldDescriptor.TYPE_STRING: "text",
    FieldDescriptor.TYPE_INT32: 7,
    FieldDescriptor.TYPE_INT64: 2**53 + 1,
    FieldDescriptor.TYPE_DOUBLE: 0.5,
    FieldDescriptor.TYPE_BOOL: True,
}
_FREE = {StringList.DESCRIPTOR.full_name: ["a", "b"], Struct.DESCRIPTOR.full_name: {"a": [0, None, False, "", {}]}}


def _member(holder: Any, kind: TaskKind) -> Any:
    return holder.DESCRIPTOR.fields_by_name[kind.field].message_type


def _names(message: Any) -> set[str]:
    """Of a message's fields, the two forms of a free object counting as one, and without those that are deprecated."""
    current = (field.name for field in message.fields if not field.GetOptions().deprecated)
    return {name for name in current if not name.endswith("_json")}


def test_every_free_object_has_an_exact_form() -> None:
    """A Struct alone has neither order nor whole numbers beyond 2^53."""
    kinds = [
        _member(holder, kind) for holder in (params_pb2.TaskParams, params_pb2.TaskResult) for kind in TYPES.values()
    ]
    for message in (tasks_pb2.TaskSpec.DESCRIPTOR, tasks_pb2.UpdateTaskRequest.DESCRIPTOR, *kinds):
        names = {field.name for field in message.fields}
        structs = {
            field.name
            for field in message.fields
            if field.message_type and field.message_type.full_name == Struct.DESCRIPTOR.full_name
        }
        assert {f"{name}_json" for name in structs} == {name for name in names if name.endswith("_json")}


def test_the_oneofs_hold_the_types_of_the_catalog_and_no_other() -> None:
    for holder in (params_pb2.TaskParams, params_pb2.TaskResult):
        [oneof] = holder.DESCRIPTOR.oneofs
        assert {field.name.upper() for field in oneof.fields} == set(TYPES)


@pytest.mark.parametrize("kind", EVERY_TYPE)
def test_parameters_and_result_have_the_fields_of_their_messages(kind: TaskKind) -> None:
    assert set(kind.params.model_fields) == _names(_member(params_pb2.TaskParams, kind))
    assert set(kind.result.model_fields) == _names(_member(params_pb2.TaskResult, kind))


@pytest.mark.parametrize("kind", EVERY_TYPE)
def test_every_scalar_of_a_message_can_be_absent(kind: TaskKind) -> None:
    """A proto3 scalar without `optional` turns null into zero in silence."""
    for holder in (params_pb2.TaskParams, params_pb2.TaskResult):
        fields = _member(holder, kind).fields
        assert [field.name for field in fields if not field.is_repeated and not field.has_presence] == []


@pytest.mark.parametrize("kind", EVERY_TYPE)
@pytest.mark.parametrize("part", ["params", "result"])
def test_what_is_filled_in_is_read_back(kind: TaskKind, part: str) -> None:
    model = _unchecked(getattr(kind, part))
    holder = params_pb2.TaskParams if part == "params" else params_pb2.TaskResult
    for value in (_full, _empty):
        before = model.model_validate(_filled(_member(holder, kind), value))
        message: Any = getattr(holder(), kind.field)
        fill(message, before)
        assert read(message, model) == before
        assert None not in before.model_dump().values()


def _filled(message: Any, value: Callable[[Any], Any]) -> dict[str, Any]:
    return {field.name: value(field) for field in message.fields if not field.name.endswith("_json")}


def _full(field: Any) -> Any:
    kind = field.message_type.full_name if field.message_type is not None else None
    if kind is None:
        value = _SCALARS[field.type]
    else:
        value = _FREE[kind] if kind in _FREE else _filled(field.message_type, _full)
    return [value, value] if field.is_repeated else value


def _empty(field: Any) -> Any:
    """False, "", [] and 0 are values, not absences."""
    if field.message_type is None or field.is_repeated or field.message_type.full_name in _FREE:
        return type(_full(field))()
    return _filled(field.message_type, _empty)


def _unchecked(model: type[BaseModel]) -> type[BaseModel]:
    """The same fields without their limits: this is about the bridge, not about values."""
    fields: dict[str, Any] = {name: (_loose(info.annotation), None) for name, info in model.model_fields.items()}
    return create_model(model.__name__, **fields)


def _loose(annotation: Any) -> Any:
    """Models within stay what they are: the bridge goes by them."""
    return annotation if _has_model(annotation) else Any


def _has_model(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return True
    return any(map(_has_model, get_args(annotation)))


def test_what_is_common_to_all_tasks_has_the_fields_of_the_specification() -> None:
    flat = {name for name in CommonFields.model_fields if not name.startswith("origin_")}
    assert flat == _names(tasks_pb2.TaskSpec.DESCRIPTOR) - {"origin", "params"}
    origin: Any = tasks_pb2.TaskSpec.DESCRIPTOR.fields_by_name["origin"].message_type
    labels = {name.removeprefix("origin_") for name in CommonFields.model_fields if name.startswith("origin_")}
    assert labels == {field.name for field in origin.fields}


def test_states_are_the_same_in_both_worlds() -> None:
    names = {name.removeprefix("TASK_STATUS_") for name in tasks_pb2.TaskStatus.keys()}  # noqa: SIM118  # no mapping
    assert names - {"UNSPECIFIED"} == set(TaskStatus)


def test_diagnostic_tasks_are_internal() -> None:
    assert set(TYPES) - set(PUBLIC_TYPES) == {"DIAGNOSTIC"}
