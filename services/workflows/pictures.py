"""The pictures that a task names, and what becomes of those that lie elsewhere or came as bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from services.catalog.base import CommonFields
from services.catalog.images import holds_bytes
from services.catalog.shapes import ValueKind, inputs_of
from services.common.errors import InvalidRequest
from services.imaging.sources import SourceKind, tell_apart


class PictureField(NamedTuple):
    """A field of a Create…Task that names pictures; `lands` is the one that takes the path of a stored one."""

    name: str
    lands: str
    many: bool


@cache
def picture_fields(task_type: str) -> tuple[PictureField, ...]:
    return tuple(
        PictureField(name, item.lands, bool(item.shape.lists))
        for name, item in inputs_of(task_type).items()
        if item.shape.kind is ValueKind.PICTURE
    )


def foreign(task_type: str, task: CommonFields) -> list[str]:
    """What is not in storage yet: addresses, and pictures that are there themselves; each once."""
    found = dict.fromkeys(text for _, text in _named(task_type, task) if _is_foreign(text))
    return list(found)


def is_address(text: str) -> bool:
    return tell_apart(text).kind is SourceKind.URL


def stored(task_type: str, task: CommonFields) -> list[str]:
    """The paths of all others; files of this machine among them."""
    return list(dict.fromkeys(text for _, text in _named(task_type, task) if not _is_foreign(text)))


def with_paths(task_type: str, task: CommonFields, paths: Mapping[str, str]) -> CommonFields:
    """The same task, whose pictures are where `paths` says."""
    changes: dict[str, Any] = {}
    for field in picture_fields(task_type):
        value = getattr(task, field.name, None)
        texts: list[Any] = value if isinstance(value, list) else [value]
        if not any(text in paths for text in texts):
            continue
        moved = [paths.get(text, text) for text in texts]
        if field.name != field.lands:
            changes[field.name] = None
            present = changes.get(field.lands, getattr(task, field.lands, None))
            moved = [*(present or ()), *moved] if field.many else moved
        changes[field.lands] = moved if field.many else moved[0]
    return task.model_copy(update=changes) if changes else task


def _named(task_type: str, task: CommonFields) -> Iterator[tuple[PictureField, str]]:
    for field in picture_fields(task_type):
        value = getattr(task, field.name, None)
        if value is not None:
            yield from ((field, text) for text in (value if isinstance(value, list) else [value]))


def _is_foreign(text: str) -> bool:
    try:
        return is_address(text) or holds_bytes(text)
    except InvalidRequest:
        return False
