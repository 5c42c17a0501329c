"""Picture tasks from message to message, as a worker runs them: real files, real decoder, our own pipelines on models
that answer at once."""

from __future__ import annotations

import hashlib
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from compute.tasks.v1 import params_pb2
from compute.tasks.v1 import tasks_pb2 as pb
from PIL import Image

from services.common.errors import InvalidRequest
from services.imaging.loader import ImageLoader, ImageSettings, open_loader
from services.inference.context import RunContext, WorkerResources
from services.inference.images import TaskImages
from services.inference.registry import discover_handlers
from services.providers.capabilities.conversing import Question, Reply
from services.providers.directory import Providers
from services.providers.local import Local
from services.providers.pipelines.knowing import PROBE
from services.providers.pipelines.measures import SimilarityJudge
from services.providers.pipelines.redrawing import IDLE
from services.providers.ports import Drawing, DrawnPicture, Matte, OnStep, Pixels
from services.providers.triton.diffusion import ModelDescription
from services.worker.runs import AttemptKey, Run
from tests.fakes.detection import FakeDetection
from tests.fakes.diffusion import CARD, FakeDiffusion, noisy
from tests.fakes.objects import Shelf
from tests.fakes.provider_context import provider_context_of
from tests.fakes.upscaling import FakeUpscaling

FIELD = Path(__file__).parent / "corpora" / "field"
# What the deployment's matting model takes.
MATTED_AT_MOST = 24_000_000


@dataclass
class Painter:
    """The diffusion model: noise on whatever is to be drawn anew; grey where it starts from nothing."""

    asked: list[Drawing] = field(default_factory=list)
    paint: Callable[[Drawing], Pixels] = field(default_factory=lambda: noisy(10))
    is_strange: bool = False

    async def describe(self) -> ModelDescription:
        return ModelDescription(width=64, height=64, multiple_of=8, max_pixels=256 * 256, guidance=5.0)

    async def draw(self, drawing: Drawing, on_step: OnStep) -> DrawnPicture:
        self.asked += [drawing] * (drawing.prompt != PROBE and drawing.strength != IDLE)
        return await FakeDiffusion(self._painted, is_strange=self.is_strange).draw(drawing, on_step)

    def _painted(self, drawing: Drawing) -> Pixels:
        if drawing.strength == IDLE and drawing.image is not None:
            return drawing.image
        if drawing.image is None:
            return np.full((drawing.height or 0, drawing.width or 0, 3), 128, np.uint8)
        return self.paint(drawing)


@dataclass
class Matting:
    """The subject is what is far from the colour of the top left corner. `confidence` as told."""

    asked: list[Pixels] = field(default_factory=list)
    confidence: float = 0.9

    async def matte(self, pixels: Pixels, *, network: str | None = None) -> Matte:
        if pixels.shape[0] * pixels.shape[1] > MATTED_AT_MOST:
            raise InvalidRequest(f"over {MATTED_AT_MOST} pixels", reason="IMAGE_TOO_LARGE")
        self.asked.append(pixels)
        far = np.abs(pixels.astype(np.int16) - pixels[0, 0].astype(np.int16)).max(axis=2) > 40
        return Matte(far.astype(np.uint8) * 255, self.confidence, CARD)


@dataclass
class Speaker:
    """AI_CORE: says nothing much."""

    asked: list[Question] = field(default_factory=list)
    checks: dict[str, Any] = field(default_factory=dict)
    canaries: dict[str, Any] = field(default_factory=dict)
    terms = None

    def configured(self, config: object, call: object) -> Speaker:
        return self

    async def converse(self, question: Question) -> Reply:
        self.asked.append(question)
        return Reply("a picture", "openai", "none", "stop")


class Silence:
    async def publish(self, subject: str, payload: bytes, reply: str = "") -> None:
        pass


class PictureBench:
    """Runs tasks of tenant `acme`; pictures lie below `inputs/`."""

    def __init__(self, loader: ImageLoader, shelf: Shelf) -> None:
        self.shelf, self.painter, self.matting, self.speaker = shelf, Painter(), Matting(), Speaker()
        self.upscaling, self.detection = FakeUpscaling(), FakeDetection()
        models = cast("tuple[Any, Any, Any, Any]", (self.painter, self.matting, self.upscaling, self.detection))
        local = Local(*models, Path("models"), SimilarityJudge())
        bus = cast("Any", Silence())
        provider_context = provider_context_of(Providers({"LOCAL": local, "AI_CORE": self.speaker}), bus)
        self.resources = WorkerResources(TaskImages(loader), shelf, bus, provider_context, "LOCAL")
        self.handlers = discover_handlers()

    async def run(self, kind: str, **fields: Any) -> Any:
        """The result's message. Raises what the handler raises."""
        params = params_pb2.TaskParams(**{kind.lower(): fields})
        task = pb.Task(id="t", tenant="acme", attempt=1, task_type=kind.upper())
        context = RunContext(Run(AttemptKey("t", 1), task, cast("Any", None), 0.0), self.resources)
        return getattr(await self.handlers.of(params)(params, context), kind.lower())

    async def reason(self, kind: str, **fields: Any) -> str:
        """Of its failure."""
        try:
            result = await self.run(kind, **fields)
        except InvalidRequest as error:
            return error.reason
        raise AssertionError(f"it did not fail: {result}")

    def put(self, content: bytes | Image.Image | Pixels) -> str:
        if not isinstance(content, bytes):
            content = saved(content)
        path = f"inputs/{hashlib.sha256(content).hexdigest()}"
        self.shelf.kept["acme", path] = content
        return path

    def put_case(self, name: str) -> str:
        """A file of the field corpus."""
        return self.put((FIELD / name).read_bytes())

    def file(self, path: str) -> bytes:
        return self.shelf.kept["acme", path]

    def picture(self, path: str) -> Image.Image:
        return Image.open(io.BytesIO(self.file(path)))

    def pixels(self, path: str) -> Pixels:
        return np.asarray(self.picture(path))


@asynccontextmanager
async def opened(**chosen: Any) -> AsyncIterator[PictureBench]:
    shelf = Shelf()
    async with open_loader(ImageSettings(image_workers=1, **chosen), shelf) as loader:
        yield PictureBench(loader, shelf)


def saved(picture: Image.Image | Pixels, form: str = "PNG", **options: Any) -> bytes:
    target = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(target, form, **options)
    return target.getvalue()


def many(paths: list[str]) -> Any:
    """As a list travels."""
    return {"values": paths}
