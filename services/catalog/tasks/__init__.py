"""Every task type: one module each, found by its presence, with its TYPE."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from services.catalog.base import TaskKind


def _discover() -> dict[str, TaskKind]:
    found: dict[str, TaskKind] = {}
    for info in iter_modules(__path__):
        kind: TaskKind = import_module(f"{__name__}.{info.name}").TYPE
        found[kind.name] = kind
    return found


TYPES = _discover()
PUBLIC_TYPES = {name: kind for name, kind in TYPES.items() if not kind.internal}
