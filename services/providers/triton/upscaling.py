"""The `upscale` model: photographs enlarged. The protocol is in deploy/triton/models/upscale/README.md.

It may be missing from a deployment, which is then no fault of it.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress

import numpy as np

from services.common.errors import Internal, InvalidRequest, Unavailable
from services.providers.capabilities.enlarging import Enlarged, OnTile, Tile
from services.providers.ports import Pixels
from services.providers.triton.answers import CanaryEvent, UpscaledEvent, event_of, tile_of, unusable
from services.providers.triton.connection import TritonConnection
from services.providers.triton.failures import ModelLost
from services.providers.triton.processes import end_stub
from services.providers.triton.supervisor import Guard, Pulse, Supervisor

_ASK_SECONDS = 30.0
# A tile takes about a second of CPU time, and several pictures take turns.
_SILENCE = 180.0
_LOOK_SECONDS = 15.0
# As the index of the repository says it; a model that was never loaded has no state.
_SERVED = ("READY", "LOADING", "UNLOADING")


class TritonUpscaling:
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
        self.model = model
        self.most_pixels = most_pixels
        end_process = end_stub if connection.is_here else None
        self.supervisor = Supervisor(
            model, connection, self._canary, every=5.0, silence=_SILENCE, end_process=end_process
        )
        self._connection = connection
        self._busy_seconds = busy_seconds
        # None until Triton has been asked. Once served, it stays so: it may be loaded anew just now.
        self._served: bool | None = None

    async def run(self) -> None:
        """Until cancelled. A model that is not served is not watched, and not loaded either."""
        while not self._served:
            with suppress(Unavailable):
                await self.served()
            if not self._served:
                await asyncio.sleep(_LOOK_SECONDS if self._served is False else 1.0)
        await self.supervisor.run()

    async def served(self) -> bool:
        """Whether this deployment has the model. Raises Unavailable while Triton cannot be asked."""
        if not self._served:
            try:
                self._served = await self._connection.state(self.model) in _SERVED
            except ModelLost as error:
                self._served = None
                raise Unavailable(f"{self.model}: {error}", reason="MODEL_UNAVAILABLE", retry_after=5.0) from error
        return self._served

    async def check(self) -> None:
        """How the last canary went; all is well without the model. Raises Unavailable."""
        if self._served is not False:
            await self.supervisor.check()

    async def ask(self) -> None:
        """A canary now; all is well without the model. Raises Unavailable."""
        if await self.served():
            await self.supervisor.ask()

    async def enlarge(self, pixels: Pixels, width: int, height: int, on_tile: OnTile) -> Enlarged:
        """As `Enlarging` says."""

        async def once(guard: Guard) -> Enlarged:
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

    async def _canary(self) -> Pulse:
        """What makes no sense is taken for a dead model: it is loaded anew."""
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                event = event_of(await self._connection.ask(self.model, {"canary": True}), CanaryEvent)
        except TimeoutError as error:
            raise ModelLost(f"no answer within {_ASK_SECONDS:g} s") from error
        except (Internal, InvalidRequest) as error:
            raise ModelLost(error.message) from error
        return Pulse(event.queued, event.pid)


def _laid(made: Pixels, tile: Tile) -> int:
    """The number of rows that came with it, now in `made`."""
    if tile.rows is None:
        return 0
    made[tile.top : tile.top + len(tile.rows)] = tile.rows
    return len(tile.rows)


def _whole(made: Pixels, filled: int, said: UpscaledEvent) -> Enlarged:
    if filled != len(made):
        raise unusable(f"{filled} of {len(made)} rows")
    return Enlarged(made, said.tiles, said.model.card())
