"""Every task type: one module each, found by its presence, with its TYPE."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from services.catalog.base import TaskType


def _discover() -> dict[str, TaskType]:
    found: dict[str, TaskType] = {}
    for info in iter_modules(__path__):
        kind: TaskType = import_module(f"{__name__}.{info.name}").TYPE
        found[kind.name] = kind
    return found


TYPES = _discover()
PUBLIC_TYPES = {name: kind for name, kind in TYPES.items() if not kind.internal}
