"""Which work a step is, as it can be told just before it begins."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from services.catalog.base import CommonFields
from services.catalog.enums import ProviderType
from services.common.background import together
from services.common.bounded_cache import BoundedCache
from services.common.errors import InvalidRequest, NotFound
from services.providers.lora_files import find_lora
from services.workflows.cache_key import ResultContext, key_of, provider_of, weights_of
from services.workflows.files import StoredFile
from services.workflows.pictures import stored

_LOCAL_FILE = "file:"
_KNOWN = 1_000
# What serves, its name and the hash of its weights, of each model that answers now.
Models = Sequence[tuple[str, str, str]]
Stamp = tuple[str, int, int, int]


class Identity(NamedTuple):
    """`pictures` are the paths of the pictures it is given, by the hashes of their content."""

    key: str
    pictures: dict[str, str]


class ObjectHeads(Protocol):
    async def head(self, path: str, *, tenant: str) -> StoredFile:
        """Raises NotFound."""
        ...


class Identities:
    def __init__(
        self,
        store: ObjectHeads,
        models: Callable[[str], Awaitable[Models]],
        weights: WeightFiles,
        *,
        default_provider: str,
        software: Callable[[], Awaitable[str]],
    ) -> None:
        """`models` answers those that serve a tenant now, `software` the version of what is around them."""
        self._store = store
        self._models = models
        self._weights = weights
        self._provider = default_provider
        self._software = software

    async def of(self, tenant: str, task_type: str, task: CommonFields) -> Identity | None:
        """None where it cannot be told by content: a file of some machine, or one that is not there.

        Raises ComputeError where somebody does not answer.
        """
        provider, paths = provider_of(task, self._provider), weights_of(task_type, task)
        if paths and provider != ProviderType.LOCAL:
            return None
        hashes = [await self._weights.sha256(path) for path in paths]
        pictures = await self._pictures(tenant, stored(task_type, task))
        if pictures is None or None in hashes:
            return None
        weights = {path: sha256 or "" for path, sha256 in zip(paths, hashes, strict=True)}
        models = await self._models(tenant)
        around = ResultContext(tenant, await self._software(), provider, models, weights, pictures)
        key = key_of(task_type, task, around)
        return None if key is None else Identity(key, {sha256: path for path, sha256 in pictures.items()})

    async def _pictures(self, tenant: str, paths: Sequence[str]) -> dict[str, str] | None:
        if any(path.startswith(_LOCAL_FILE) for path in paths):
            return None
        try:
            heads = await together([self._store.head(path, tenant=tenant) for path in paths])
        except NotFound:
            return None
        return {path: head.sha256 for path, head in zip(paths, heads, strict=True)}


class WeightFiles:
    """Hashes of LoRAs below the models' folder, read again only where a file has changed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: BoundedCache[Stamp, str] = BoundedCache(entries=_KNOWN, size=_KNOWN)

    async def sha256(self, path: str) -> str | None:
        """None where this process does not see the file."""
        try:
            found, stamp = await asyncio.to_thread(self._found, path)
            known = self._known.get(stamp)
            if known is None:
                known = await asyncio.to_thread(_digest, found)
                self._known.put(stamp, known, 1)
            return known
        except (InvalidRequest, OSError):
            return None

    def _found(self, path: str) -> tuple[Path, Stamp]:
        found = find_lora(self._root.absolute(), path)
        status = found.stat()
        return found, (str(found), status.st_ino, status.st_size, status.st_mtime_ns)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
