"""Generic bridge between pydantic models and their protobuf messages, compiled once for each pair.

An absent optional field is None. Lists that can be None travel as StringList, times as Timestamp. A free object travels
as the JSON text in `<name>_json`, which keeps order and whole numbers, and as a Struct too, for callers who know no
other; a message without that field has the Struct alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import Enum
from functools import cache, lru_cache
from types import NoneType
from typing import Any, TypeVar, get_args

import orjson
from compute.common.v1.common_pb2 import StringList
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from services.common.errors import InvalidRequest, Violation, wrong_field

ModelT = TypeVar("ModelT", bound=BaseModel)
Writer = Callable[[Message, Any], None]
Reader = Callable[[Message], Any]
_ABSENT = object()
_EXACT = 2**53
_TEXT = "_json"
# Characters: more than any free object may have, each of them escaped.
_LONGEST = 1 << 19


def fill(message: Message, model: BaseModel) -> None:
    """Copies every set value of `model` into `message`, which is present afterwards even when empty."""
    message.SetInParent()
    values = model.__dict__
    for name, write in _writers(message.DESCRIPTOR, type(model)):
        value = values[name]
        if value is not None:
            write(message, value)


def read(message: Message, model: type[ModelT], *, prefix: str = "") -> ModelT:
    """Inverse of `fill`: an absent nullable is None, never the model's default.

    Raises:
        InvalidRequest: with one violation for each field the model refuses.
    """
    try:
        return model.model_validate(to_dict(message, model))
    except ValidationError as error:
        raise invalid(error, prefix=prefix) from error


def to_dict(message: Message, model: type[BaseModel]) -> dict[str, Any]:
    """The values `model` is validated from."""
    values = {}
    for name, read_field in _readers(message.DESCRIPTOR, model):
        value = read_field(message)
        if value is not _ABSENT:
            values[name] = value
    return values


def invalid(error: ValidationError, *, prefix: str = "") -> InvalidRequest:
    """One violation for each of pydantic's errors, without the offending value."""
    violations = tuple(
        Violation(prefix + ".".join(str(part) for part in item["loc"]), item["msg"])
        for item in error.errors(include_url=False, include_input=False, include_context=False)
    )
    summary = "; ".join(f"{item.field}: {item.description}" for item in violations[:3])
    return InvalidRequest(summary, violations=violations)


@cache
def _writers(message: Any, model: type[BaseModel]) -> list[tuple[str, Writer]]:
    fields = _fields(message)
    return [(name, _writer(fields[name])) for name in model.model_fields if name in fields]


@cache
def _readers(message: Any, model: type[BaseModel]) -> list[tuple[str, Reader]]:
    fields = _fields(message)
    found = []
    for name, info in model.model_fields.items():
        field = fields.get(name)
        if field is not None:
            nullable = NoneType in get_args(info.annotation)
            found.append((name, _reader(field, None if nullable else _ABSENT, _inner_model(info.annotation))))
    return found


def _fields(message: Any) -> dict[str, FieldDescriptor]:
    """`message` is a descriptor, of whichever implementation of protobuf."""
    return dict(message.fields_by_name)


def _writer(field: FieldDescriptor) -> Writer:
    name = field.name
    kind = field.message_type.full_name if field.message_type else ""
    if field.is_repeated:
        return _write_messages(name) if kind else lambda message, value: getattr(message, name).extend(value)
    if kind == StringList.DESCRIPTOR.full_name:
        return _write_string_list(name)
    if kind == Struct.DESCRIPTOR.full_name:
        return lambda message, value: put_object(message, name, _object(value))
    if kind == Timestamp.DESCRIPTOR.full_name:
        return lambda message, value: getattr(message, name).FromDatetime(value)
    if kind:
        return lambda message, value: fill(getattr(message, name), value)
    return lambda message, value: setattr(message, name, value.value if isinstance(value, Enum) else value)


def _write_messages(name: str) -> Writer:
    def write(message: Message, value: list[BaseModel]) -> None:
        for item in value:
            fill(getattr(message, name).add(), item)

    return write


def _write_string_list(name: str) -> Writer:
    def write(message: Message, value: list[Any]) -> None:
        target = getattr(message, name)
        target.SetInParent()
        target.values.extend(item.value if isinstance(item, Enum) else item for item in value)

    return write


def _object(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = value.model_dump(mode="json", exclude_unset=True) if isinstance(value, BaseModel) else value
    return found


def _reader(field: FieldDescriptor, absent: object, model: type[BaseModel] | None) -> Reader:
    name = field.name
    kind = field.message_type.full_name if field.message_type else ""
    if field.is_repeated:
        if kind and model is not None:
            return lambda message: [to_dict(item, model) for item in getattr(message, name)]
        return lambda message: list(getattr(message, name))
    if not field.has_presence:
        return lambda message: getattr(message, name)
    if kind == Struct.DESCRIPTOR.full_name:
        read_object = _object_reader(field.containing_type, name)
        return lambda message: read_object(message, absent)
    get: Reader = lambda message: getattr(message, name)  # noqa: E731  # one of several shapes chosen below
    if kind == StringList.DESCRIPTOR.full_name:
        get = lambda message: list(getattr(message, name).values)  # noqa: E731
    elif kind == Timestamp.DESCRIPTOR.full_name:
        get = lambda message: read_time(getattr(message, name), name)  # noqa: E731
    elif kind and model is not None:
        get = lambda message: to_dict(getattr(message, name), model)  # noqa: E731
    return lambda message: get(message) if message.HasField(name) else absent


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    """The pydantic model inside `Model`, `Model | None` or `list[Model]`, if there is one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _inner_model(part))), None)


def put_object(message: Any, name: str, value: Mapping[str, Any]) -> None:
    """A free object, present afterwards even when empty."""
    struct = getattr(message, name)
    struct.SetInParent()
    struct.update(value)
    if _has_text(message.DESCRIPTOR, name):
        setattr(message, name + _TEXT, orjson.dumps(value).decode())


def get_object(message: Any, name: str, absent: Any = None) -> Any:
    """A free object as it was put, or `absent`; a text that is no JSON as it is."""
    return _object_reader(message.DESCRIPTOR, name)(message, absent)


@cache
def _object_reader(message: Any, name: str) -> Callable[[Any, Any], Any]:
    """`message` is a descriptor."""
    text = name + _TEXT

    def of_struct(message: Any, absent: Any) -> Any:
        return struct_to_dict(getattr(message, name)) if message.HasField(name) else absent

    def of_text(message: Any, absent: Any) -> Any:
        return _parsed(getattr(message, text)) if message.HasField(text) else of_struct(message, absent)

    return of_text if _has_text(message, name) else of_struct


def check_objects(message: Any, *, prefix: str = "") -> tuple[Violation, ...]:
    """A violation for each free object whose two forms say different things."""
    given = {field.name for field, _ in message.ListFields()}
    twins = [name for name in given if name + _TEXT in given]
    wrong = "differs from {}: give one of them"
    return tuple(
        Violation(prefix + name + _TEXT, wrong.format(name)) for name in sorted(twins) if not _agree(message, name)
    )


def _agree(message: Any, name: str) -> bool:
    """What a Struct makes of the text is what the Struct beside it says."""
    value, made = get_object(message, name), Struct()
    if not isinstance(value, dict):
        return True  # refused as what it is
    made.update(value)
    return bool(made == getattr(message, name))


@cache
def _has_text(message: Any, name: str) -> bool:
    """`message` is a descriptor."""
    return name + _TEXT in message.fields_by_name


def _parsed(text: str) -> Any:
    """The value, or the text where it is no JSON: then the model says that it is no object."""
    try:
        return from_json(text, allow_inf_nan=False) if len(text) <= _LONGEST else text
    except ValueError:
        return text


def struct_to_dict(struct: Struct) -> dict[str, Any]:
    """Struct has no order, so members come sorted, and doubles only: a whole number comes back as int."""
    return {name: _plain(struct.fields[name]) for name in sorted(struct.fields)}


def _plain(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() and abs(number) < _EXACT else number
    if kind == "struct_value":
        return struct_to_dict(value.struct_value)
    if kind == "list_value":
        return _plain_list(value.list_value)
    return None if kind in (None, "null_value") else getattr(value, kind)


def _plain_list(values: ListValue) -> list[Any]:
    return [_plain(value) for value in values.values]


def read_time(moment: Timestamp, field: str) -> datetime:
    """Raises InvalidRequest for what lies outside the years 1 to 9999."""
    try:
        return moment.ToDatetime(UTC)
    except (OverflowError, ValueError):
        raise wrong_field(field, "must be a moment in the years 1 to 9999") from None


def microseconds(moment: Timestamp) -> int:
    """Since the epoch."""
    return moment.seconds * 1_000_000 + moment.nanos // 1000


def optional(message: Any, name: str) -> Any:
    """None where it is left out."""
    return getattr(message, name) if message.HasField(name) else None


def timestamp(microseconds: int) -> Timestamp:
    message = Timestamp()
    set_time(message, microseconds)
    return message


def set_time(message: Timestamp, microseconds: int) -> None:
    message.seconds, rest = divmod(microseconds, 1_000_000)
    message.nanos = rest * 1000


def iso(microseconds: int) -> str:
    """RFC 3339 in UTC."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return f"{_to_the_second(seconds)}.{rest:06d}Z"


@lru_cache(maxsize=64)
def _to_the_second(seconds: int) -> str:
    """Many moments that are written down lie in the same few seconds."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat()
