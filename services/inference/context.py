"""What a handler is given besides its parameters: pictures, places for results, progress, providers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any, ParamSpec, TypeVar

import structlog
from compute.tasks.v1 import tasks_pb2 as pb

from services.catalog.results import PictureNote
from services.catalog.tasks import TYPES
from services.clients.storage_client import CHUNK_BYTES
from services.common.errors import ComputeError, NotFound, Unavailable
from services.imaging.embedding.edits import Part
from services.imaging.notes import Note
from services.imaging.recipes import BESIDE
from services.inference.audience import Audience
from services.inference.credentials import ContentSigner
from services.inference.lineage import NO_LINEAGE, Lineage
from services.inference.originals import (
    ALPHA_LAID_ON_WHITE,
    PROFILE_CONVERTED,
    PROPORTIONS_CHANGED,
    OriginalPicture,
    TaskPicture,
)
from services.inference.ports import Images, ResultStore
from services.inference.progress import ProgressFeed
from services.inference.provenance import BESIDE_BECAUSE, DigitalSource, mark, told_recipe
from services.messaging.event_schemas import NAMELESS
from services.messaging.ports import MessageBus
from services.providers.calling.call_ledger import SUCCEEDED
from services.providers.calling.fallback_chain import FallbackChain
from services.providers.calling.provider_retries import ProviderContext
from services.providers.ports import Capability, DrawnPicture
from services.worker.runs import Run

log = structlog.get_logger()
CapabilityT = TypeVar("CapabilityT")
AnswerT = TypeVar("AnswerT")
P = ParamSpec("P")
# Of a whole picture: each may take gigabytes, and more at a time would not be faster.
_THREADS_AT_ONCE = 2
# What notes call a picture that a provider made.
OF_THE_RESULT = "result_image_path"
# What is true of a picture's file even where its very pixels are handed on.
_OF_THE_FILE = frozenset(
    {Note.JPEG_END_MISSING, Note.METADATA_IGNORED, Note.RIGHTS_LEFT_OUT, Note.CREDENTIALS_LEFT_OUT}
    | {Note.CLIPPING_PATH_LEFT_OUT}
)
# Of a JPEG these lie behind its pixels, where nothing stays.
_BEHIND_A_JPEG = frozenset(
    {Note.FIRST_PAGE_ONLY, Note.MOTION_LEFT_OUT, Note.GAIN_MAP_LEFT_OUT, Note.DEPTH_MAP_LEFT_OUT}
    | {Note.AUXILIARY_LEFT_OUT}
)
# Seconds; a result that took minutes to make is not thrown away because the store restarts.
_STORE_PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True, slots=True)
class WorkerResources:
    """The parts all runs of a worker share. `default_provider` serves tasks that name none; `schemas` begins the
    addresses of the schemas of what is announced.
    """

    images: Images
    store: ResultStore
    bus: MessageBus
    provider_context: ProviderContext
    default_provider: str
    schemas: str = NAMELESS
    audience: Audience = field(default_factory=Audience)
    signer: ContentSigner | None = None
    threads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_THREADS_AT_ONCE))


class RunContext:
    """One run's view of the world. `attempt` counts from 1."""

    def __init__(self, run: Run, resources: WorkerResources) -> None:
        self.task_id, self.attempt = run.key
        self.tenant = run.task.tenant
        self.progress = ProgressFeed(run, resources.bus, resources.audience)
        self._images = resources.images
        self._threads = resources.threads
        # What became of the pictures that were loaded, other than that they were taken as they are.
        self.notes: list[PictureNote] = []
        kind = TYPES.get(run.task.task_type)
        # A task of a type that is not known here finds no handler that could store anything.
        folder = kind.folder if kind else ""
        self.outputs = Outputs(self.tenant, folder, self.task_id, self.attempt, resources.store, resources.signer)
        default = kind.default_provider if kind else None
        self._fallback_chain = FallbackChain(
            run, resources.provider_context, default.value if default else resources.default_provider
        )

    async def load_laid_on_white(self, reference: str, *, called: str) -> TaskPicture:
        """In sRGB: RGB, what is transparent laid on white, which is noted. The rest is as with `load_picture`."""
        picture = await self.load_picture(reference, called=called)
        if await asyncio.to_thread(picture.is_transparent):
            self.note(called, ALPHA_LAID_ON_WHITE)
        return replace(picture, pixels=await asyncio.to_thread(picture.seen))

    async def load_picture(
        self, reference: str, *, called: str, local: bool = False, colours: bool = True
    ) -> TaskPicture:
        """In sRGB: RGB or RGBA. Raises InvalidRequest when it cannot be had or is no picture.

        `called` is the parameter that names it, for the notes of the result. `local` allows a file of this machine,
        below the operator's roots. Without `colours` it does not matter that they had a profile.
        """
        picture = await self._images.load(reference, tenant=self.tenant, local=local)
        self._note_loading(called, picture, colours)
        return picture

    async def load_original(
        self, reference: str, *, called: str, local: bool = False, grey: bool = True, colours: bool = True
    ) -> OriginalPicture:
        """As it is: its file, colours, transparency and ICC profile. Without `grey` a grey picture becomes sRGB.

        The rest is as with `load_picture`.
        """
        picture = await self._images.load_original(reference, tenant=self.tenant, local=local, grey=grey)
        self._note_loading(called, picture, colours)
        return picture

    async def restore(self, picture: TaskPicture, *, called: str) -> OriginalPicture:
        """A picture of `load_picture` that is handed on as it is after all, in its own colours."""
        original = await self._images.original(picture.content)
        self.notes = [found for found in self.notes if found.picture != called or found.note != PROFILE_CONVERTED]
        if original.converted:
            self.note(called, PROFILE_CONVERTED)
        return original

    def note(self, called: str, *notes: str) -> None:
        """Something of that picture was not taken, or not kept, as it is."""
        self.notes.extend(PictureNote(picture=called, note=str(note)) for note in notes)

    def note_shape(self, called: str, picture: TaskPicture, width: int, height: int) -> None:
        """A result of that size shows the picture; rounding to whole pixels is no other shape."""
        (wide, high), most = picture.size, max(width, height, *picture.size)
        if abs(width * high - height * wide) > most:
            self.note(called, PROPORTIONS_CHANGED)

    def note_answer(self, picture: DrawnPicture) -> None:
        """What of a provider's own file was not taken as it is."""
        self.note(OF_THE_RESULT, *picture.notes)

    def _note_loading(self, called: str, picture: TaskPicture, colours: bool) -> None:
        self.note(called, *picture.notes)
        if picture.converted and colours:
            self.note(called, PROFILE_CONVERTED)

    def keep_whole(self, called: str, content_type: str) -> None:
        """The file of the parameter `called` is handed on with its very pixels, frames and colours: of what is noted
        when they are read only what concerns the rest of the file is still true.
        """
        still = _OF_THE_FILE | _BEHIND_A_JPEG if content_type == "image/jpeg" else _OF_THE_FILE
        self.notes = [found for found in self.notes if found.picture != called or found.note in still]

    async def colour_in_profile(self, colour: tuple[int, int, int], profile: bytes | None) -> tuple[int, int, int]:
        """An sRGB colour in the numbers of a picture with that profile."""
        return await self._images.in_profile(colour, profile) if profile else colour

    async def work(self, job: Callable[P, AnswerT], *args: P.args, **kwargs: P.kwargs) -> AnswerT:
        """`job` in a thread, when it is its turn among the runs of this worker. Only waiting can be cancelled."""
        await self._threads.acquire()
        thread = asyncio.ensure_future(asyncio.to_thread(job, *args, **kwargs))
        # It goes on when its run is cancelled, and keeps its place for as long.
        thread.add_done_callback(self._thread_ended)
        return await asyncio.shield(thread)

    def _thread_ended(self, thread: asyncio.Future[AnswerT]) -> None:
        self._threads.release()
        if not thread.cancelled():
            thread.exception()  # heard, as its run may be gone

    async def ask(
        self, capability: Capability[CapabilityT], use: Callable[[CapabilityT], Awaitable[AnswerT]]
    ) -> AnswerT:
        """What `use` makes of the task's provider, or its type's, or the default one; then of the task's fallback.

        It may be run several times. The requests of a run must come in the same order in every attempt.

        Raises:
            InvalidRequest: there is no such provider, it cannot do this, or the request is at fault.
            ComputeError: what the last provider that was asked said.
        """
        return await self._fallback_chain.ask(capability, use)

    @property
    def fallback_used(self) -> bool:
        """Whether the fallback provider has answered."""
        return any(call.fallback and call.outcome == SUCCEEDED for call in self.provider_calls)

    @property
    def provider_calls(self) -> list[pb.ProviderCall]:
        """The calls to providers that this run has made, or heard more of."""
        return [call for call in self._fallback_chain.ledger.entries if call.outcome]


@dataclass
class Outputs:
    """Results of one attempt, in the folder of the task's type.

    The attempt is part of every name, so a late one never overwrites its successor's.
    """

    tenant: str
    folder: str
    task_id: str
    attempt: int
    store: ResultStore
    signer: ContentSigner | None = None
    saved: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    """The SHA-256 of what the store has confirmed, by path."""

    async def save(self, name: str, content: bytes) -> str:
        """Below `<folder>/<task id>/`, where the task's removal looks for it; answers the path the store used.

        A store that is away for a moment is waited for.

        Raises:
            ComputeError: it stays away, or refuses.
        """
        return await self._upload(self._path(name), [await self._signed(content)])

    async def save_as_made(
        self,
        name: str,
        content: bytes,
        recipe: Mapping[str, Any],
        source: DigitalSource | None,
        lineage: Lineage = NO_LINEAGE,
    ) -> str:
        """A file that is not to be encoded anew, with its recipe inside, or beside it where it has no place for one.

        The rest is as with `save`.
        """
        parts, beside = await asyncio.to_thread(mark, content, recipe, source, lineage)
        if beside is None and self.signer is not None:
            parts = [await self._signed(b"".join(parts))]
        path = await self._upload(self._path(name), parts)
        if beside is not None:
            await self._upload(path + BESIDE, [beside])
        return path

    async def save_as_given(
        self, name: str, parts: Sequence[Part], recipe: Mapping[str, Any], lineage: Lineage = NO_LINEAGE
    ) -> str:
        """The caller's own file, its pixels byte by byte, with the recipe beside it. The rest is as with `save`."""
        path = await self._upload(self._path(name), parts)
        told = {**recipe, BESIDE_BECAUSE: "it holds the very pixels that came in"}
        await self._upload(path + BESIDE, [told_recipe(told, None, lineage).encode()])
        return path

    async def _signed(self, content: bytes) -> bytes:
        return content if self.signer is None else await asyncio.to_thread(self.signer.signed, content)

    def _path(self, name: str) -> str:
        plain = PurePosixPath(name)
        return f"{self.folder}/{self.task_id}/{plain.stem}-{self.attempt}{plain.suffix}"

    async def _upload(self, wished: str, parts: Sequence[Part]) -> str:
        # Remembered first: an upload that is cut off may have been carried out.
        self.saved.append(wished)
        for pause in (*_STORE_PAUSES, None):
            try:
                stored = await self.store.upload(wished, _chunks(parts), tenant=self.tenant, result=True)
                break
            except Unavailable:
                if pause is None:
                    raise
                await asyncio.sleep(pause)
        self.saved[-1] = stored.path
        self.files[stored.path] = stored.sha256
        return stored.path

    async def discard(self) -> None:
        """Removes what nobody will ask for."""
        for path in self.saved:
            try:
                await self.store.delete(path, tenant=self.tenant, with_results=True)
            except NotFound:
                continue
            except ComputeError as error:
                log.warning("unwanted output left behind", path=path, error=repr(error))
        self.saved.clear()
        self.files.clear()


async def _chunks(parts: Sequence[Part]) -> AsyncIterator[bytes]:
    for part in parts:
        for start in range(0, len(part), CHUNK_BYTES):
            yield bytes(part[start : start + CHUNK_BYTES])
