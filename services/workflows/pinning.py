"""Pictures by address, fetched once for a workflow: a retry, a resume or a fork weeks later sees the same picture."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

from services.catalog.base import CommonFields
from services.catalog.images import MAX_INLINE
from services.common.background import together
from services.common.keyed_locks import KeyedLocks
from services.imaging.formats import suffix_of
from services.imaging.remote import PictureFetcher, fetch_picture
from services.imaging.sources import read_inline, tell_apart
from services.workflows.files import StoredFile, inputs_of_workflow, moved
from services.workflows.pictures import foreign, is_address, with_paths

# Of those that are in memory at the same time, each with up to 50 MiB.
_AT_ONCE = 4
_URL = 2_048


class Pin(NamedTuple):
    """What a workflow's text stood for when it was first used. `name` is the hash of the text, `url` the text itself
    where it is an address; `at` in microseconds.
    """

    workflow_id: str
    name: str
    path: str
    sha256: str
    at: int
    url: str | None = None


class PinRepository(Protocol):
    """Written once each."""

    async def add(self, pins: Sequence[Pin]) -> None:
        """Those that are there already stay as they are."""
        ...

    async def of(self, workflow_id: str) -> list[Pin]: ...


class PinStore(Protocol):
    async def upload(
        self, path: str, content: bytes, *, tenant: str, must_be_image: bool = False, result: bool = False
    ) -> StoredFile: ...


class Pins:
    def __init__(
        self,
        pins: PinRepository,
        store: PinStore,
        http: Callable[[], AbstractAsyncContextManager[PictureFetcher]],
        clock: Callable[[], int],
        *,
        max_bytes: int,
    ) -> None:
        """`http` opens the guarded client, `max_bytes` is the largest picture."""
        self._pins = pins
        self._store = store
        self._http = http
        self._clock = clock
        self._max_bytes = max_bytes
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._fetching: KeyedLocks[tuple[str, str]] = KeyedLocks()

    async def pinned(self, tenant: str, workflow_id: str, task_type: str, task: CommonFields) -> CommonFields:
        """The task with stored pictures only.

        Raises:
            InvalidRequest, PayloadTooLarge: as the task itself would be refused for its picture.
            Unavailable: URL_UNAVAILABLE, or of our own storage.
        """
        texts = foreign(task_type, task)
        paths = await together([self._path(tenant, workflow_id, text) for text in texts])
        return with_paths(task_type, task, dict(zip(texts, paths, strict=True)))

    async def of(self, workflow_id: str) -> list[Pin]:
        """Those of addresses, in the order they were fetched in."""
        return sorted((pin for pin in await self._pins.of(workflow_id) if pin.url is not None), key=lambda pin: pin.at)

    async def take_over(self, old_id: str, new_id: str, paths: Mapping[str, str]) -> None:
        """A fork sees what the old workflow saw, as far as it is there; `paths` say where its files are now."""
        pins = [pin for pin in await self._pins.of(old_id) if pin.path in paths]
        await self._pins.add([pin._replace(workflow_id=new_id, path=moved(pin.path, paths)) for pin in pins])

    async def _path(self, tenant: str, workflow_id: str, text: str) -> str:
        name = hashlib.sha256(text.encode()).hexdigest()
        async with self._fetching.held((workflow_id, name)):
            known = await self._known(workflow_id, name)
            return known or await self._pin(tenant, workflow_id, name, text)

    async def _known(self, workflow_id: str, name: str) -> str | None:
        return next((pin.path for pin in await self._pins.of(workflow_id) if pin.name == name), None)

    async def _pin(self, tenant: str, workflow_id: str, name: str, text: str) -> str:
        async with self._room:
            content = await self._content(text)
            sha256 = await asyncio.to_thread(lambda: hashlib.sha256(content).hexdigest())
            path = f"{inputs_of_workflow(workflow_id)}{sha256}{suffix_of(content)}"
            stored = await self._store.upload(path, content, tenant=tenant, must_be_image=True, result=True)
        url = text if is_address(text) else None
        await self._pins.add([Pin(workflow_id, name, stored.path, sha256, self._clock(), url)])
        # Of two that fetched it at the same time the first one's counts.
        return await self._known(workflow_id, name) or stored.path

    async def _content(self, text: str) -> bytes:
        if not is_address(text):
            return await read_inline(tell_apart(text), max_bytes=MAX_INLINE)
        async with self._http() as client:
            return await fetch_picture(client, text, max_bytes=self._max_bytes)
