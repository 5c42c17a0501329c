"""The files of what is given from the step cache: as they were made, and copied into the folder of whoever gets it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.common.background import together
from services.common.errors import NotFound
from services.workflows.cache_identity import ObjectHeads
from services.workflows.cache_records import CacheEntry
from services.workflows.files import WorkflowFiles, folder_of_unit, moved
from services.workflows.ports import StepName


class CachedFiles:
    def __init__(self, files: WorkflowFiles, heads: ObjectHeads) -> None:
        self._files = files
        self._heads = heads

    async def place_of(self, tenant: str, entry: CacheEntry) -> Sequence[str] | None:
        """Where all files of an entry are, as they were made; None where they are nowhere any more."""
        for place in reversed(entry.places):
            pairs = zip(place, entry.files, strict=True)
            if all(await together([self._is_there(tenant, path, sha256) for path, (_, sha256) in pairs])):
                return place
        return None

    async def given(
        self, tenant: str, entry: CacheEntry, place: Sequence[str], name: StepName, pictures: Mapping[str, str]
    ) -> tuple[list[str], Any]:
        """The copies of a step, and the result that names them; `pictures` are those it was given, by their hashes.

        Raises NotFound where a file went in this very moment.
        """
        folder, paths = folder_of_unit(name.workflow_id, name.step_id), [path for path, _ in entry.files]
        copies = [folder + _below_its_task(path) for path in paths]
        await self._files.copy(tenant, dict(zip(place, copies, strict=True)))
        own = {path: pictures[sha256] for sha256, path in entry.pictures.items() if sha256 in pictures}
        return copies, moved(entry.result, own | dict(zip(paths, copies, strict=True)))

    async def _is_there(self, tenant: str, path: str, sha256: str) -> bool:
        try:
            return (await self._heads.head(path, tenant=tenant)).sha256 == sha256
        except NotFound:
            return False


def _below_its_task(path: str) -> str:
    """`<folder of a type>/<task id>/` goes."""
    return path.split("/", 2)[-1]
