"""The files of workflows: each has a folder of its own for what was pinned, taken from a cache or taken over for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Protocol

import structlog

from services.catalog.folders import WORKFLOWS
from services.common.errors import ComputeError
from services.workflows.domain import Workflow

log = structlog.get_logger()
_AT_ONCE = 16


class StoredFile(Protocol):
    """What the storage service says of an object, as far as it is needed here."""

    @property
    def path(self) -> str: ...

    @property
    def sha256(self) -> str: ...


class WorkflowFileStore(Protocol):
    """The storage service. Every method is safe to repeat, and raises ComputeError."""

    async def copy(
        self, source: str, path: str, *, tenant: str, if_absent: bool = False, result: bool = False
    ) -> StoredFile:
        """Raises NotFound."""
        ...

    async def list(
        self, *, tenant: str, prefix: str = "", limit: int | None = None, start_after: str = ""
    ) -> tuple[Sequence[StoredFile], bool]: ...

    async def delete_prefix(self, prefix: str, *, tenant: str, with_results: bool = False) -> Sequence[str]: ...

    async def upload(
        self, path: str, content: bytes, *, tenant: str, must_be_image: bool = False, result: bool = False
    ) -> StoredFile: ...

    async def read(self, path: str, *, tenant: str, limit: int) -> bytes:
        """Raises NotFound."""
        ...


def folder_of(workflow_id: str) -> str:
    """All of it goes with the workflow's clean-up."""
    return f"{WORKFLOWS}/{workflow_id}/"


def inputs_of_workflow(workflow_id: str) -> str:
    """For the pictures it is given."""
    return f"{folder_of(workflow_id)}inputs/"


def path_of_result(workflow_id: str, name: str, attempt: int) -> str:
    """For what a try at a step or a slot made, where that is long; stores may not tell `A` from `a`."""
    return f"{folder_of(workflow_id)}results/{sha256(f'{name}/{attempt}'.encode()).hexdigest()[:32]}.json"


def folder_of_unit(workflow_id: str, name: str) -> str:
    """For what a step or a slot has made without a task of its own."""
    return f"{folder_of(workflow_id)}steps/{name}/"


class WorkflowFiles:
    def __init__(self, store: WorkflowFileStore) -> None:
        self._store = store

    async def remove(self, workflow: Workflow) -> list[str]:
        """Whatever lies in its folders; the paths that went."""
        paths = [*await self._store.delete_prefix(folder_of(workflow.id), tenant=workflow.tenant, with_results=True)]
        if workflow.inputs_folder is not None:
            paths += await self._store.delete_prefix(workflow.inputs_folder, tenant=workflow.tenant)
        return paths

    async def forget(self, tenant: str, folder: str) -> None:
        """What was stored for nobody. Storage that cannot be asked keeps it."""
        try:
            await self._store.delete_prefix(folder, tenant=tenant, with_results=True)
        except ComputeError as error:
            log.warning("files of a workflow that was not made stay", folder=folder, reason=error.reason)

    async def copy_folders(self, tenant: str, folders: Mapping[str, str]) -> dict[str, str]:
        """All that lies below each into the folder it stands for; where each of them is then, by where it was."""
        room = asyncio.Semaphore(_AT_ONCE)

        async def below(source: str, target: str) -> dict[str, str]:
            async with room:
                return {path: target + path.removeprefix(source) for path in await self._below(tenant, source)}

        parts = await asyncio.gather(*(below(*pair) for pair in folders.items()))
        found = {path: copy for part in parts for path, copy in part.items()}
        await self.copy(tenant, found)
        return found

    async def copy(self, tenant: str, paths: Mapping[str, str]) -> None:
        """Without their bytes travelling; each lives on its own. Raises NotFound."""
        room = asyncio.Semaphore(_AT_ONCE)

        async def one(source: str, path: str) -> None:
            async with room:
                await self._store.copy(source, path, tenant=tenant, result=True)

        await asyncio.gather(*(one(*pair) for pair in paths.items()))

    async def _below(self, tenant: str, folder: str) -> list[str]:
        paths: list[str] = []
        more = True
        while more:
            page, more = await self._store.list(
                tenant=tenant, prefix=folder, limit=1_000, start_after=paths[-1] if paths else ""
            )
            paths += [file.path for file in page]
        return paths


def moved(value: Any, paths: Mapping[str, str]) -> Any:
    """JSON in which every text that is one of these paths is where that file is now."""
    if isinstance(value, str):
        return paths.get(value, value)
    if isinstance(value, Mapping):
        return {name: moved(item, paths) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(moved(item, paths) for item in value)
    return value


def texts(value: Any) -> set[str]:
    """Every text in JSON."""
    if isinstance(value, str):
        return {value}
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return {text for part in parts for text in texts(part)}
