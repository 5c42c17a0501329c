"""Decodes hostile pictures in child processes with limits on memory and time; one that misbehaves is killed."""

from __future__ import annotations

import asyncio
import mmap
import os
import tempfile
from dataclasses import dataclass, field
from math import prod
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self, TypeAlias

import orjson

from services.common.errors import ComputeError, InvalidRequest, PayloadTooLarge
from services.imaging.decoder_process import DecoderDied, DecoderProcess
from services.imaging.limits import MAX_PIXELS
from services.imaging.notes import Note
from services.imaging.rights import Rights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """`max_bytes` of the content, `max_pixels` of the picture, `seconds` to decode it in, `memory_bytes` to address."""

    max_bytes: int = 50 << 20
    max_pixels: int = MAX_PIXELS
    seconds: float = 20.0
    memory_bytes: int = 2 << 30


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """`width` and `height` in pixels as displayed; `channels` 3 (RGB) or 4 (RGBA), in originals also 1 or 2 (grey).

    `depth` is that of the file's samples, in bits; pixels come out with 8.
    """

    format: str
    width: int
    height: int
    channels: int
    animated: bool
    depth: int = 8

    @property
    def content_type(self) -> str:
        return f"image/{self.format.lower()}"


# Dots per inch, across and down.
Density: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class DecodedPicture:
    """`pixels`: uint8 [height, width, 3 or 4], upright, sRGB, alpha straight. `notes` are for whoever sent the file.

    `converted` tells that its colours had to leave a profile of their own, `grey` that the file has none but greys by
    its mode.
    """

    pixels: NDArray[np.uint8]
    facts: ImageFacts
    density: Density | None = None
    rights: Rights = field(default_factory=Rights)
    notes: tuple[Note, ...] = ()
    converted: bool = False
    grey: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class DecodedOriginal(DecodedPicture):
    """`pixels`: uint8 [height, width, 1 to 4], upright, in the picture's own colours; 2 and 4 have straight alpha.

    `profile` is the ICC profile they belong to; None stands for sRGB.
    """

    profile: bytes | None = None


class Decoder:
    """A few child processes, started when first needed; each serves one picture at a time.

    Every method raises InvalidRequest (IMAGE_INVALID) for what is not a whole picture of a known format, and
    PayloadTooLarge (IMAGE_TOO_LARGE, IMAGE_TOO_MANY_PIXELS) for what is beyond the limits.
    """

    def __init__(self, limits: DecodeLimits, *, workers: int = 2) -> None:
        self._limits = limits
        self._workers = workers
        self._free: asyncio.LifoQueue[DecoderProcess | None] = asyncio.LifoQueue()

    async def __aenter__(self) -> Self:
        for _ in range(self._workers):
            self._free.put_nowait(None)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while not self._free.empty():
            child = self._free.get_nowait()
            if child is not None:
                await child.kill()

    async def measure(self, content: IO[bytes]) -> ImageFacts:
        """From the headers alone. `content` is a real file, open for reading."""
        return _facts(await self._ask({"verb": "measure"}, content.fileno()))

    async def verify(self, content: IO[bytes]) -> ImageFacts:
        """Decodes all of it and drops the pixels."""
        return _facts(await self._ask({"verb": "verify"}, content.fileno()))

    async def decode(self, content: bytes) -> DecodedPicture:
        """The first frame."""
        answer, file = await self._decode({"verb": "decode"}, content)
        with file:
            return DecodedPicture(**_told(file, answer))

    async def decode_original(self, content: bytes, *, grey: bool = True) -> DecodedOriginal:
        """The first frame in its own colours; without `grey` a grey picture becomes sRGB."""
        answer, file = await self._decode({"verb": "decode_original", "grey": grey}, content)
        with file:
            facts = _facts(answer)
            profile = os.pread(file.fileno(), answer["profile"], facts.width * facts.height * facts.channels)
            return DecodedOriginal(**_told(file, answer), profile=profile or None)

    async def in_profile(self, colour: tuple[int, int, int], profile: bytes) -> tuple[int, int, int]:
        """An sRGB colour in the numbers of an ICC profile."""
        with _anonymous_file() as source:
            source.write(profile)
            answer = await self._ask({"verb": "translate", "colour": colour}, source.fileno())
        red, green, blue = answer["colour"]
        return red, green, blue

    async def _decode(self, request: dict[str, Any], content: bytes) -> tuple[dict[str, Any], IO[bytes]]:
        """The child's answer, and the open file it wrote to."""
        if len(content) > self._limits.max_bytes:
            raise self._too_large(len(content))
        target = _anonymous_file()
        try:
            with _anonymous_file() as source:
                source.write(content)
                return await self._ask(request, source.fileno(), target.fileno()), target
        except BaseException:
            target.close()
            raise

    async def _ask(self, request: dict[str, Any], *files: int) -> dict[str, Any]:
        size = os.fstat(files[0]).st_size
        if size > self._limits.max_bytes:
            raise self._too_large(size)
        child = await self._free.get()
        try:
            child = child or await DecoderProcess.start(self._limits.memory_bytes)
            async with asyncio.timeout(self._limits.seconds):
                answer = await child.ask({**request, "max_pixels": self._limits.max_pixels}, files)
            if answer.get("spent"):
                await child.kill()
                child = None
        except BaseException as error:
            # Half-way through a request it cannot serve another.
            if child is not None:
                await child.kill()
                child = None
            raise self._meaning(error) from error
        finally:
            self._free.put_nowait(child)
        return _accepted(answer)

    def _meaning(self, error: BaseException) -> BaseException:
        if isinstance(error, TimeoutError):
            message = f"the picture took more than {self._limits.seconds:g} s to decode"
            return InvalidRequest(message, reason="IMAGE_INVALID")
        if isinstance(error, DecoderDied):
            return InvalidRequest("the picture broke its decoder", reason="IMAGE_INVALID")
        return error

    def _too_large(self, size: int) -> PayloadTooLarge:
        return PayloadTooLarge(f"{size} bytes is more than {self._limits.max_bytes}", reason="IMAGE_TOO_LARGE")


def _accepted(answer: dict[str, Any]) -> dict[str, Any]:
    if "reason" not in answer:
        return answer
    kind: type[ComputeError] = PayloadTooLarge if answer["reason"] == "IMAGE_TOO_MANY_PIXELS" else InvalidRequest
    raise kind(answer["message"], reason=answer["reason"])


def _facts(answer: dict[str, Any]) -> ImageFacts:
    return ImageFacts(**answer["facts"])


def _told(file: IO[bytes], answer: dict[str, Any]) -> dict[str, Any]:
    """What a picture and an original have in common."""
    facts = _facts(answer)
    rights = orjson.loads(
        os.pread(file.fileno(), answer["rights"], facts.width * facts.height * facts.channels + answer["profile"])
    )
    return {
        "pixels": _mapped(file, facts),
        "facts": facts,
        "density": tuple(answer["density"]) if answer["density"] else None,
        "rights": Rights(**{**rights, **{name: tuple(rights[name]) for name in ("creators", "owners")}}),
        "notes": tuple(map(Note, answer["notes"])),
        "converted": answer["converted"],
        "grey": answer["grey"],
    }


def _anonymous_file() -> IO[bytes]:
    """In memory where the system can, else a file without a name."""
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("picture"), "w+b", buffering=0)
    return tempfile.TemporaryFile(buffering=0)


def _mapped(file: IO[bytes], facts: ImageFacts) -> NDArray[np.uint8]:
    """The pixels where the child wrote them, not a copy. Raises ValueError when their number is wrong."""
    import numpy as np  # who only measures pictures does without

    shape = (facts.height, facts.width, facts.channels)
    return np.frombuffer(mmap.mmap(file.fileno(), 0), np.uint8, count=prod(shape)).reshape(shape)
