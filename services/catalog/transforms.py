"""The table of transforms: what each makes of a value on its way from one step to another, and what it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from services.catalog.enums import TransformType
from services.catalog.free_json import check_json
from services.catalog.shapes import Shape, ValueKind

MAX_TEXT = 65_536
MAX_ITEMS = 10_000
MAX_SIDE = 16_384
# Beyond, a template is taken for a mistake.
MAX_PLACES = 64
PLACE = "{value}"
_NUMBERS = (ValueKind.INTEGER, ValueKind.NUMBER)
_PLAIN = (ValueKind.TEXT, ValueKind.INTEGER, ValueKind.NUMBER, ValueKind.TRUTH, ValueKind.PICTURE, ValueKind.VIDEO)


@dataclass(frozen=True, slots=True)
class Transform:
    """`shape` says what comes of a value of some shape, None where it takes none such; `apply` may raise ValueError.

    `needs` names the arguments it cannot do without, `takes` those it may be given as well.
    """

    shape: Callable[[Shape], Shape | None]
    apply: Callable[[Any, Mapping[str, Any]], Any]
    needs: frozenset[str] = frozenset()
    takes: frozenset[str] = frozenset()


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


def _one_object(shape: Shape) -> Shape | None:
    return Shape(ValueKind.OBJECT) if shape.kind is ValueKind.OBJECT and shape.lists < 2 else None


def _side(shape: Shape) -> Shape | None:
    return Shape(ValueKind.INTEGER) if not shape.lists and shape.kind in _NUMBERS else None


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
    texts = [_told(item) for item in value]
    if sum(map(len, texts)) + len(separator) * len(texts) > MAX_TEXT + len(separator):
        raise ValueError(f"the text would have more than {MAX_TEXT} characters")
    return separator.join(texts)


def _filled(value: Any, template: str) -> str:
    """No code: the value takes the place of each `{value}`, and nothing else of the template means anything."""
    told, places = _told(value), template.count(PLACE)
    if len(template) + places * len(told) > MAX_TEXT:
        raise ValueError(f"the text would have more than {MAX_TEXT} characters")
    return template.replace(PLACE, told)


def _merged(value: dict[str, Any] | list[dict[str, Any]], over: Mapping[str, Any]) -> dict[str, Any]:
    """Of members of the same name the last one counts."""
    made: dict[str, Any] = {}
    for part in value if isinstance(value, list) else [value]:
        made |= part
    return check_json({**made, **over})


def _resized(side: float, factor: float, multiple_of: int, most: int) -> int:
    """The nearest multiple; at most `most`, and at least one of them."""
    if side <= 0:
        raise ValueError("is no side of a picture")
    return max(min(round(side * factor / multiple_of), most // multiple_of), 1) * multiple_of


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


TRANSFORMS: dict[TransformType, Transform] = {
    TransformType.FIRST: Transform(_item, lambda value, _: _at(value, 0)),
    TransformType.LAST: Transform(_item, lambda value, _: _at(value, -1)),
    TransformType.AT_INDEX: Transform(_item, lambda value, given: _at(value, given["index"]), frozenset({"index"})),
    TransformType.TO_LIST: Transform(_in_list, lambda value, _: [value]),
    TransformType.FLATTEN: Transform(_flat, lambda value, _: _flattened(value)),
    TransformType.JOIN: Transform(
        _text_of_list, lambda value, given: _joined(value, given["separator"]), frozenset({"separator"})
    ),
    TransformType.LENGTH: Transform(_count, lambda value, _: len(value)),
    TransformType.TEMPLATE: Transform(
        _text_of_plain, lambda value, given: _filled(value, given["template"]), frozenset({"template"})
    ),
    TransformType.MERGE: Transform(
        _one_object, lambda value, given: _merged(value, given.get("values", {})), takes=frozenset({"values"})
    ),
    TransformType.RESIZE_REFERENCE: Transform(
        _side,
        lambda value, given: _resized(value, given["factor"], given.get("multiple_of", 1), given.get("most", MAX_SIDE)),
        frozenset({"factor"}),
        frozenset({"multiple_of", "most"}),
    ),
}


def check_arguments(kind: TransformType | None, given: Mapping[str, Any]) -> list[str]:
    """What is wrong with the arguments, in words."""
    needs, takes = (TRANSFORMS[kind].needs, TRANSFORMS[kind].takes) if kind else (frozenset(), frozenset())
    of = kind or "a mapping without transform"
    wrong = [f"transform_args.{name} is no argument of {of}" for name in given if name not in needs | takes]
    wrong += [f"transform {kind} needs transform_args.{name}" for name in sorted(needs - given.keys())]
    template = given.get("template")
    if isinstance(template, str) and "template" in needs and not 1 <= template.count(PLACE) <= MAX_PLACES:
        wrong.append(f"transform_args.template must hold {PLACE} once, and at most {MAX_PLACES} times")
    if given.get("most", MAX_SIDE) < given.get("multiple_of", 1):
        wrong.append("transform_args.most is less than transform_args.multiple_of")
    return wrong
