"""What fields of parameters and results hold, as far as one can be mapped onto another."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel
from pydantic.fields import FieldInfo

from services.catalog.base import TaskKind
from services.catalog.images import check_local_reference, check_path, check_reference, check_url
from services.catalog.tasks import TYPES

_STORED = (check_path, check_reference, check_local_reference)
_SUFFIXES = ("_path", "_paths")
_NO_PICTURES = ("model_path", "text_path")


class ValueKind(StrEnum):
    TEXT = "text"
    INTEGER = "whole number"
    NUMBER = "number"
    TRUTH = "truth value"
    PICTURE = "picture"
    VIDEO = "video"
    OBJECT = "object"


class Shape(NamedTuple):
    """A kind of value, inside so many lists."""

    kind: ValueKind
    lists: int = 0

    def __str__(self) -> str:
        return "list of " * self.lists + f"{self.kind.value}{'s' if self.lists else ''}"

    def fits(self, target: Shape) -> bool:
        """One value also fits a list of such: it is one of its items."""
        if self.lists not in (target.lists, target.lists - 1):
            return False
        return self.kind is target.kind or (self.kind, target.kind) in _AS


_AS = {(ValueKind.INTEGER, ValueKind.NUMBER)}


@cache
def outputs_of(kind_name: str) -> dict[str, Shape]:
    """The fields of a type's result."""
    found = {}
    for name, info in TYPES[kind_name].result.model_fields.items():
        shape = _shape(info.annotation)
        if shape.kind is ValueKind.TEXT and name.endswith(_SUFFIXES) and not any(word in name for word in _NO_PICTURES):
            shape = shape._replace(kind=ValueKind.VIDEO if "video" in name else ValueKind.PICTURE)
        found[name] = shape
    return found


class Input(NamedTuple):
    """A parameter that can be mapped onto; `lands` is the one that takes what was stored, often itself."""

    shape: Shape
    lands: str


@cache
def inputs_of(kind_name: str) -> dict[str, Input]:
    """What can be mapped onto: every parameter, and the names that stand for one of them."""
    kind = TYPES[kind_name]
    fields = kind.params.model_fields
    found = {name: Input(_input_shape(info), _landing(kind, name, info)) for name, info in fields.items()}
    for name, target in {**kind.inline_images, **kind.image_urls}.items():
        found[name] = found[target]
    return found


def _landing(kind: TaskKind, name: str, info: FieldInfo) -> str:
    """A stored picture goes where paths go, though the field that was named takes an address."""
    beside = name.removesuffix("_url") + "_path"
    only_urls = check_url in set(_checks(info.annotation, info.metadata))
    return beside if only_urls and beside in kind.params.model_fields else name


def _input_shape(info: FieldInfo) -> Shape:
    shape = _shape(info.annotation)
    pictures = {check_url, *_STORED} & set(_checks(info.annotation, info.metadata))
    return shape._replace(kind=ValueKind.PICTURE) if pictures else shape


def _checks(annotation: Any, metadata: Any = ()) -> Iterator[Any]:
    yield from (item.func for item in metadata if isinstance(item, AfterValidator))
    if get_origin(annotation) is Annotated:
        yield from _checks(annotation.__origin__, annotation.__metadata__)
        return
    for part in get_args(annotation):
        yield from _checks(part)


def _shape(annotation: Any) -> Shape:
    if get_origin(annotation) is Annotated:
        return _shape(annotation.__origin__)
    if get_origin(annotation) in (Union, UnionType):
        [part, *_] = [part for part in get_args(annotation) if part is not NoneType]
        return _shape(part)
    if get_origin(annotation) is list:
        inner = _shape(get_args(annotation)[0])
        return inner._replace(lists=inner.lists + 1)
    return Shape(_kind(annotation))


def _kind(annotation: Any) -> ValueKind:
    if not isinstance(annotation, type) or issubclass(annotation, BaseModel | dict):
        return ValueKind.OBJECT
    for kind, plain in (
        (ValueKind.TRUTH, bool),
        (ValueKind.INTEGER, int),
        (ValueKind.NUMBER, float),
        (ValueKind.TEXT, str),
    ):
        if issubclass(annotation, plain):
            return kind
    return ValueKind.OBJECT
