"""The handlers, found by their presence: `handlers/<task_type>.py` runs the tasks of that type."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, get_type_hints

from compute.tasks.v1 import params_pb2 as pb
from pydantic import BaseModel

from services.common.errors import InvalidRequest
from services.inference import handlers
from services.inference.context import RunContext
from services.rpc.proto import fill, read


@dataclass(frozen=True, slots=True)
class Handler:
    """Runs one task type: messages in and out, catalog models inside."""

    field: str
    params: type[BaseModel]
    run: Callable[[Any, RunContext], Awaitable[BaseModel]]

    async def __call__(self, params: pb.TaskParams, context: RunContext) -> pb.TaskResult:
        """Raises whatever the handler raises; InvalidRequest for parameters its model refuses."""
        found = await self.run(read(getattr(params, self.field), self.params), context)
        result = pb.TaskResult()
        fill(getattr(result, self.field), found)
        return result


class Handlers:
    """By the name of the parameters' `oneof` member, which is the module's name."""

    def __init__(self, found: dict[str, Handler]) -> None:
        self._found = found

    @property
    def task_types(self) -> list[str]:
        return sorted(field.upper() for field in self._found)

    def of(self, params: pb.TaskParams) -> Handler:
        """Raises InvalidRequest when nothing here runs such tasks."""
        field = params.WhichOneof("params") or ""
        if field not in self._found:
            raise InvalidRequest(f"this worker runs no {field.upper() or 'untyped'} tasks", reason="TASK_TYPE_UNKNOWN")
        return self._found[field]


def discover_handlers() -> Handlers:
    """A handler says by its annotations which model it takes: `async def run(params: Generation, context: …)`."""
    found = {}
    for info in iter_modules(handlers.__path__):
        run = import_module(f"{handlers.__name__}.{info.name}").run
        found[info.name] = Handler(info.name, get_type_hints(run)["params"], run)
    return Handlers(found)
