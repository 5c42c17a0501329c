"""Every task type of the catalog against its protobuf messages, and the other way round."""
from __future__ import annotations

from typing import Any

import pytest
from compute.common.v1.common_pb2 import StringList
from compute.tasks.v1 import params_pb2, tasks_pb2
from google.protobuf.descriptor import FieldDescriptor
from pydantic import BaseModel, create_model

from services.catalog.base import CommonFields, TaskType
from services.catalog.enums import TaskStatus
from services.catalog.tasks import PUBLIC_TYPES, TYPES
from services.common.proto import fill, read

EVERY_TYPE = [pytest.param(kind, id=kind.name) for kind in TYPES.values()]
_SCALARS = {
    FieldDescriptor.TYPE_STRING: "text",
    FieldDescriptor.TYPE_INT32: 7,
    FieldDescriptor.TYPE_INT64: 2**53 + 1,
    FieldDescriptor.TYPE_DOUBLE: 0.5,
    FieldDescriptor.TYPE_BOOL: True,
}


def _member(holder: Any, kind: TaskType) -> Any:
    return holder.DESCRIPTOR.fields_by_name[kind.field].message_type


def test_the_oneofs_hold_the_types_of_the_catalog_and_no_other() -> None:
    for holder in (params_pb2.TaskParams, params_pb2.TaskResult):
        assert {field.name.upper() for field in holder.DESCRIPTOR.fields} == set(TYPES)


@pytest.mark.parametrize("kind", EVERY_TYPE)
def test_parameters_and_result_have_the_fields_of_their_messages(kind: TaskType) -> None:
    assert set(kind.params.model_fields) == {field.name for field in _member(params_pb2.TaskParams, kind).fields}
    assert set(kind.result.model_fields) == {field.name for field in _member(params_pb2.TaskResult, kind).fields}


@pytest.mark.parametrize("kind", EVERY_TYPE)
def test_every_scalar_of_a_message_can_be_absent(kind: TaskType) -> None:
    """A proto3 scalar without `optional` turns null into zero in silence."""
    for holder in (params_pb2.TaskParams, params_pb2.TaskResult):
        fields = _member(holder, kind).fields
        assert [field.name for field in fields if not field.is_repeated and not field.has_presence] == []


@pytest.mark.parametrize("kind", EVERY_TYPE)
@pytest.mark.parametrize("part", ["params", "result"])
def test_what_is_filled_in_is_read_back(kind: TaskType, part: str) -> None:
    model: type[BaseModel] = getattr(kind, part)
    holder = params_pb2.TaskParams if part == "params" else params_pb2.TaskResult
    for values in (_full(holder, kind), _empty(holder, kind)):
        before = model.model_construct(**{**dict.fromkeys(model.model_fields), **values})
        message: Any = getattr(holder(), kind.field)
        fill(message, before)
        after = read(message, _unchecked(model))
        assert {name: getattr(after, name) for name in values} == values


def _full(holder: Any, kind: TaskType) -> dict[str, Any]:
    return {field.name: _value(field) for field in _member(holder, kind).fields}


def _empty(holder: Any, kind: TaskType) -> dict[str, Any]:
    """False, "", [] and 0 are values, not absences."""
    return {field.name: type(_value(field))() for field in _member(holder, kind).fields}


def _value(field: Any) -> Any:
    if field.message_type is not None and field.message_type.full_name == StringList.DESCRIPTOR.full_name:
        return ["a", "b"]
    value = _SCALARS[field.type]
    return [value, value] if field.is_repeated else value


def _unchecked(model: type[BaseModel]) -> type[BaseModel]:
    """The same fields without their limits: this is about the bridge, not about values."""
    fields: dict[str, Any] = dict.fromkeys(model.model_fields, (Any, None))
    return create_model(model.__name__, **fields)


def test_what_is_common_to_all_tasks_has_the_fields_of_the_specification() -> None:
    flat = {name for name in CommonFields.model_fields if not name.startswith("origin_")}
    assert flat == {field.name for field in tasks_pb2.TaskSpec.DESCRIPTOR.fields} - {"origin", "params"}
    origin: Any = tasks_pb2.TaskSpec.DESCRIPTOR.fields_by_name["origin"].message_type
    labels = {name.removeprefix("origin_") for name in CommonFields.model_fields if name.startswith("origin_")}
    assert labels == {field.name for field in origin.fields}


def test_states_are_the_same_in_both_worlds() -> None:
    names = {name.removeprefix("TASK_STATUS_") for name in tasks_pb2.TaskStatus.keys()}  # noqa: SIM118  # no mapping
    assert names - {"UNSPECIFIED"} == set(TaskStatus)


def test_diagnostic_tasks_are_internal() -> None:
    assert set(TYPES) - set(PUBLIC_TYPES) == {"DIAGNOSTIC"}
