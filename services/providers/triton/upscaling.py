"""The `upscale` model: photographs enlarged. The protocol is in deploy/triton/models/upscale/README.md."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import numpy as np

from services.providers.capabilities.enlarging import Enlarged, OnTile, TileProgress
from services.providers.ports import Pixels
from services.providers.triton.answers import CanaryEvent, UpscaledEvent, event_of, tile_of, unusable
from services.providers.triton.connection import TritonConnection
from services.providers.triton.failures import BROKEN, ModelLost
from services.providers.triton.optional import OptionalModel
from services.providers.triton.supervisor import CanaryReply, WatchedRequest

_ASK_SECONDS = 30.0
# A tile takes about a second of CPU time, and several pictures take turns.
_SILENCE = 180.0


class TritonUpscaling(OptionalModel):
    """Enlarges through the supervisor, so that a model that dies in between costs time and nothing else."""

    most_factor = 16.0

    def __init__(
        self,
        connection: TritonConnection,
        *,
        model: str = "upscale",
        most_pixels: int = 1_100_000,
        busy_seconds: float = 60.0,
    ) -> None:
        """`most_pixels` as `Enlarging` says; `busy_seconds`: how long a full queue is waited for."""
        super().__init__(model, connection, self._canary, silence=_SILENCE)
        self.most_pixels = most_pixels
        self._busy_seconds = busy_seconds

    async def enlarge(self, pixels: Pixels, width: int, height: int, on_tile: OnTile) -> Enlarged:
        """As `Enlarging` says."""

        async def once(guard: WatchedRequest) -> Enlarged:
            made = np.empty((height, width, 3), np.uint8)
            filled = 0
            request = {"width": width, "height": height}
            async with aclosing(self._connection.stream(self.model, request, {"IMAGE": pixels})) as answers:
                async for answer in answers:
                    guard.heard()
                    if answer.event.get("event") == "result":
                        return _whole(made, filled, event_of(answer.event, UpscaledEvent))
                    tile = tile_of(answer.event, answer.pixels, made.shape, filled)
                    filled += _laid(made, tile)
                    await on_tile(tile)
            raise ModelLost("the stream ended without a picture")

        return await self.supervisor.carry_patiently(once, busy_seconds=self._busy_seconds)

    async def _canary(self) -> CanaryReply:
        """What makes no sense is taken for a dead model: it is loaded anew."""
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                event = event_of(await self._connection.ask(self.model, {"canary": True}), CanaryEvent)
        except TimeoutError as error:
            raise ModelLost(f"no answer within {_ASK_SECONDS:g} s") from error
        except BROKEN as error:
            raise ModelLost(error.message, told=True) from error
        return CanaryReply(event.queued, event.pid, event.served())


def _laid(made: Pixels, tile: TileProgress) -> int:
    """The number of rows that came with it, now in `made`."""
    if tile.rows is None:
        return 0
    made[tile.top : tile.top + len(tile.rows)] = tile.rows
    return len(tile.rows)


def _whole(made: Pixels, filled: int, said: UpscaledEvent) -> Enlarged:
    if filled != len(made):
        raise unusable(f"{filled} of {len(made)} rows")
    return Enlarged(made, said.tiles, said.model.card())
