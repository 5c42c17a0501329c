"""The table of transforms: what each makes of a value on its way from one step to another, and what it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from services.catalog.enums import TransformType
from services.catalog.shapes import Shape, ValueKind

MAX_TEXT = 65_536
MAX_ITEMS = 10_000
# Beyond, a template is taken for a mistake.
MAX_PLACES = 64
PLACE = "{value}"
_PLAIN = (ValueKind.TEXT, ValueKind.INTEGER, ValueKind.NUMBER, ValueKind.TRUTH, ValueKind.PICTURE, ValueKind.VIDEO)


@dataclass(frozen=True, slots=True)
class Transform:
    """`shape` says what comes of a value of some shape, None where it takes none such; `apply` may raise ValueError.

    `argument` is the one it needs, if any, with the type it has.
    """

    shape: Callable[[Shape], Shape | None]
    apply: Callable[[Any, Mapping[str, Any]], Any]
    argument: str | None = None
    kind: type = str


def _item(shape: Shape) -> Shape | None:
    return shape._replace(lists=shape.lists - 1) if shape.lists else None


def _in_list(shape: Shape) -> Shape:
    return shape._replace(lists=shape.lists + 1)


def _flat(shape: Shape) -> Shape | None:
    return shape._replace(lists=shape.lists - 1) if shape.lists > 1 else None


def _text_of_list(shape: Shape) -> Shape | None:
    return Shape(ValueKind.TEXT) if shape.lists == 1 and shape.kind in _PLAIN else None


def _text_of_plain(shape: Shape) -> Shape | None:
    return Shape(ValueKind.TEXT) if not shape.lists and shape.kind in _PLAIN else None


def _count(shape: Shape) -> Shape | None:
    return Shape(ValueKind.INTEGER) if shape.lists or shape.kind is ValueKind.TEXT else None


def _at(value: list[Any], index: int) -> Any:
    try:
        return value[index]
    except IndexError:
        raise ValueError(f"has {len(value)} items, none at {index}") from None


def _flattened(value: list[list[Any]]) -> list[Any]:
    found = [item for part in value for item in part]
    if len(found) > MAX_ITEMS:
        raise ValueError(f"would have {len(found)} items, at most {MAX_ITEMS} are allowed")
    return found


def _joined(value: list[Any], separator: str) -> str:
    return _bounded(separator.join(map(_told, value)))


def _filled(value: Any, template: str) -> str:
    """No code: the value takes the place of each `{value}`, and nothing else of the template means anything."""
    told, places = _told(value), template.count(PLACE)
    if len(template) + places * len(told) > MAX_TEXT:
        raise ValueError(f"the text would have more than {MAX_TEXT} characters")
    return template.replace(PLACE, told)


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _bounded(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise ValueError(f"the text would have more than {MAX_TEXT} characters")
    return text


TRANSFORMS: dict[TransformType, Transform] = {
    TransformType.FIRST: Transform(_item, lambda value, _: _at(value, 0)),
    TransformType.LAST: Transform(_item, lambda value, _: _at(value, -1)),
    TransformType.AT_INDEX: Transform(_item, lambda value, given: _at(value, given["index"]), "index", int),
    TransformType.TO_LIST: Transform(_in_list, lambda value, _: [value]),
    TransformType.FLATTEN: Transform(_flat, lambda value, _: _flattened(value)),
    TransformType.JOIN: Transform(
        _text_of_list, lambda value, given: _joined(value, given["separator"]), "separator", str
    ),
    TransformType.LENGTH: Transform(_count, lambda value, _: len(value)),
    TransformType.TEMPLATE: Transform(
        _text_of_plain, lambda value, given: _filled(value, given["template"]), "template", str
    ),
}


def check_arguments(kind: TransformType | None, given: Mapping[str, Any]) -> list[str]:
    """What is wrong with the arguments, in words."""
    wanted = TRANSFORMS[kind].argument if kind else None
    wrong = [f"transform_args.{name} is no argument of {kind or 'a mapping without transform'}"
             for name in given if name != wanted]  # fmt: skip
    if wanted is not None and wanted not in given:
        wrong.append(f"transform {kind} needs transform_args.{wanted}")
    template = given.get("template")
    if isinstance(template, str) and wanted == "template" and not 1 <= template.count(PLACE) <= MAX_PLACES:
        wrong.append(f"transform_args.template must hold {PLACE} once, and at most {MAX_PLACES} times")
    return wrong
