"""How a task's results were made: what their own files say, and who was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from compute.storage.v1 import storage_pb2
from compute.tasks.v1 import tasks_pb2 as pb
from fastapi import Request
from pydantic import BaseModel, Field

from gateway.upstream import caller_of, upstream_of
from services.clients.storage_client import StorageClient
from services.common.errors import NotFound
from services.imaging.recipes import BESIDE, HEAD_BYTES, MADE_FROM, TAIL_BYTES, lies_at_end, parse_recipe, read_recipe
from services.translation.messages import to_public


class ResultFile(BaseModel):
    """A file of the result and its recipe."""

    path: str = Field(description="Where it is stored")
    unchanged: bool | None = Field(
        description="Whether the stored file, and the recipe beside it, are those that were made, by the SHA-256 that"
        " was recorded when the run ended; null when nothing was recorded or the file is gone"
    )
    recipe: dict[str, Any] | None = Field(
        description="Model and LoRA hashes, seed, parameters, IPTC digital source type and software, as the file itself"
        " says, or what lies beside it; null when nothing is said or the file is gone"
    )
    made_from: list[dict[str, Any]] = Field(
        description="What the pictures it was made from said of themselves, nearest first: `generation` 1 for those the"
        " task was given, the parameter that named it as `picture`, its `digital_source_type` and `recipe`"
    )
    in_file: bool = Field(
        description="Whether the file itself carries the recipe. Signed files (C2PA), files nobody can read and kinds"
        " without a place for it are kept as they came, the recipe beside them: `beside_the_file_because` says why"
    )


class ProviderCall(BaseModel):
    """One call to a provider."""

    provider: str = Field(description="Provider that was asked")
    attempt: int = Field(description="Run of the task that asked, from 1")
    fallback: bool = Field(description="Whether it was asked as the fallback")
    request_id: str | None = Field(description="The provider's own id of it")
    outcome: str = Field(description="SUCCEEDED, FAILED, CANCELLED, UNKNOWN; or INTENDED, SUBMITTED while it is open")
    reason: str | None = Field(description="Reason of a failure")
    duration_seconds: float = Field(description="How long it took")
    cost_usd: float | None = Field(description="What it cost, where the provider says")


class Provenance(BaseModel):
    """How a task's results were made."""

    task_id: UUID = Field(description="The task")
    files: list[ResultFile] = Field(description="The result's files")
    provider_calls: list[ProviderCall] = Field(description="Every call to a provider, in its order")


async def provenance_of(request: Request, task_id: str) -> Provenance:
    """Raises NotFound."""
    upstream, tenant = upstream_of(request), caller_of(request).tenant
    task = await upstream.tasks.get(request, task_id)
    made = {file.path: file.sha256 for file in task.result.files}
    files = [await _file(upstream.storage, path, tenant, made) for path in _result_paths(task)]
    calls = [call_of(call) for call in task.provider_calls]
    return Provenance(task_id=UUID(task.id), files=files, provider_calls=calls)


def _result_paths(task: pb.Task) -> list[str]:
    return [path for _, path in result_files(to_public(task))]


def result_files(shown: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the public task names as a result's files, `result_…_path` and `result_…paths`: the field and the path."""
    found: list[tuple[str, str]] = []
    for name, value in shown.items():
        if name.startswith("result_") and name.endswith(("_path", "_paths")) and value:
            found += [(name, path) for path in (value if isinstance(value, list) else [value])]
    return found


async def _file(storage: StorageClient, path: str, tenant: str, made: Mapping[str, str]) -> ResultFile:
    """`made` are the hashes of the files at the end of the run."""
    found: list[storage_pb2.ObjectInfo] = []
    inside = beside = None
    with suppress(NotFound):
        found.append(await storage.head(path, tenant=tenant))
        inside = await _recipe_inside(storage, found[0], tenant)
        # What came in as it is may carry the recipe of an earlier task; this one's was then put beside it.
        if inside is None or path + BESIDE in made:
            found.append(await storage.head(path + BESIDE, tenant=tenant))
            beside = await _recipe_beside(storage, path, tenant)
    recipe = inside if beside is None else beside
    in_file = recipe is not None and beside is None
    made_from = (recipe or {}).pop(MADE_FROM, None)
    return ResultFile(
        path=path,
        unchanged=_unchanged(found, made),
        recipe=recipe,
        made_from=[entry for entry in made_from if isinstance(entry, dict)] if isinstance(made_from, list) else [],
        in_file=in_file,
    )


def _unchanged(found: Sequence[storage_pb2.ObjectInfo], made: Mapping[str, str]) -> bool | None:
    if not found or found[0].path not in made:
        return None
    return all(made.get(info.path) == info.sha256 for info in found)


async def _recipe_inside(storage: StorageClient, info: storage_pb2.ObjectInfo, tenant: str) -> dict[str, Any] | None:
    """Raises NotFound."""
    path = info.path
    head = await _part(storage, path, tenant, 0, min(info.size, HEAD_BYTES))
    if info.size <= HEAD_BYTES or not lies_at_end(head):
        return read_recipe(head)
    return read_recipe(head, await _part(storage, path, tenant, info.size - TAIL_BYTES, TAIL_BYTES))


async def _recipe_beside(storage: StorageClient, path: str, tenant: str) -> dict[str, Any] | None:
    """Raises NotFound."""
    return parse_recipe(await _part(storage, path + BESIDE, tenant, 0, HEAD_BYTES))


async def _part(storage: StorageClient, path: str, tenant: str, offset: int, length: int) -> bytes:
    _, chunks = await storage.download(path, tenant=tenant, offset=offset, length=length)
    return b"".join([chunk async for chunk in chunks])


def call_of(made: pb.ProviderCall) -> ProviderCall:
    return ProviderCall(
        provider=made.provider,
        attempt=made.attempt,
        fallback=made.fallback,
        request_id=made.request_id or None,
        outcome=made.outcome,
        reason=made.reason or None,
        duration_seconds=round(made.duration_seconds, 6),
        cost_usd=made.cost_usd if made.HasField("cost_usd") else None,
    )
