"""The `diffusion` model: pictures from words, one stream each. The protocol is in deploy/triton/README.md."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from services.providers.ports import DiffusionStep, Drawing, DrawnPicture, OnStep
from services.providers.triton.answers import CanaryEvent, DescribeEvent, EventT, event_of, picture_of, step_of
from services.providers.triton.connection import TritonConnection
from services.providers.triton.failures import BROKEN, ModelLost
from services.providers.triton.processes import end_stub
from services.providers.triton.supervisor import CanaryReply, ModelSupervisor, WatchedRequest

_ASK_SECONDS = 10.0
# Of a step in between; a message of it costs this process 0.15 ms, and nobody sees more than five a second.
_REPORT_EVERY_MS = 200


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """What the loaded model can do. Sizes are pixels."""

    width: int
    height: int
    multiple_of: int
    max_pixels: int
    guidance: float


class TritonDiffusion:
    """Draws through the supervisor, so that a model that dies in between costs time and nothing else."""

    def __init__(self, connection: TritonConnection, *, model: str = "diffusion", busy_seconds: float = 60.0) -> None:
        """`busy_seconds`: how long a full queue is waited for."""
        self.model = model
        end_process = end_stub if connection.is_here else None
        self.supervisor = ModelSupervisor(model, connection, self._canary, end_process=end_process)
        self._connection = connection
        self._busy_seconds = busy_seconds
        self._described: tuple[int, ModelDescription] | None = None

    async def describe(self) -> ModelDescription:
        """Asked once for each life of the model. Raises Unavailable."""
        if self._described is None or self._described[0] != self.supervisor.epoch:
            event = await self.supervisor.carry(lambda _: self._ask({"describe": True}, DescribeEvent))
            self._described = self.supervisor.epoch, _description(event)
        return self._described[1]

    async def draw(self, drawing: Drawing, on_step: OnStep) -> DrawnPicture:
        """`drawing` with its size set. Raises InvalidRequest, Overloaded, Unavailable, Internal."""
        request = _request(drawing)
        pictures = {"IMAGE": drawing.image, "MASK": drawing.mask}
        images = {name: pixels for name, pixels in pictures.items() if pixels is not None}
        guidance = (await self.describe()).guidance

        async def once(guard: WatchedRequest) -> DrawnPicture:
            last: DiffusionStep | None = None
            async with aclosing(self._connection.stream(self.model, request, images)) as answers:
                async for answer in answers:
                    guard.heard()
                    if answer.event.get("event") == "result":
                        return picture_of(answer.event, answer.pixels, drawing, last, default_guidance=guidance)
                    last = step_of(answer.event, answer.pixels)
                    await on_step(last)
            raise ModelLost("the stream ended without a picture")

        return await self.supervisor.carry_patiently(once, busy_seconds=self._busy_seconds)

    async def _canary(self) -> CanaryReply:
        event = await self._ask({"canary": True}, CanaryEvent)
        return CanaryReply(event.queued, event.pid, event.served())

    async def _ask(self, request: dict[str, Any], kind: type[EventT]) -> EventT:
        """What makes no sense is taken for a dead model: it is loaded anew."""
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                return event_of(await self._connection.ask(self.model, request), kind)
        except TimeoutError as error:
            raise ModelLost(f"no answer within {_ASK_SECONDS:g} s") from error
        except BROKEN as error:
            raise ModelLost(error.message, told=True) from error


def _description(event: DescribeEvent) -> ModelDescription:
    return ModelDescription(
        width=event.native.width,
        height=event.native.height,
        multiple_of=event.multiple_of,
        max_pixels=event.limits.max_pixels,
        guidance=event.defaults.guidance,
    )


def _request(drawing: Drawing) -> dict[str, Any]:
    optional = {
        "steps": drawing.steps,
        "guidance": drawing.guidance,
        "strength": None if drawing.image is None else drawing.strength,
        "negative_prompt": drawing.negative_prompt or None,
        "exact": drawing.exact or None,
        "preview_every": drawing.preview_every,
        "report_every_ms": _REPORT_EVERY_MS,
        "variation_seed": drawing.variation_seed,
        "variation": drawing.variation or None,
        "loras": [{"path": lora.path, "weight": lora.weight} for lora in drawing.loras] or None,
    }
    return {
        "prompt": drawing.prompt,
        "seed": drawing.seed,
        "width": drawing.width,
        "height": drawing.height,
        **{name: value for name, value in optional.items() if value is not None},
    }
