"""The `segmentation` model: a matte for a picture. The protocol is in deploy/triton/models/segmentation/README.md."""

from __future__ import annotations

import numpy as np

from services.providers.ports import Matte, Pixels
from services.providers.triton.answers import ModelsEvent, event_of, matte_of
from services.providers.triton.connection import TritonConnection
from services.providers.triton.failures import BROKEN, ModelLost
from services.providers.triton.supervisor import CanaryReply, ModelSupervisor, WatchedRequest

_PROBE = np.zeros((32, 32, 3), np.uint8)
_CANARY_SECONDS = 10.0


class TritonSegmentation:
    """Mattes through the supervisor. `seconds` bounds one picture."""

    def __init__(self, connection: TritonConnection, *, model: str = "segmentation", seconds: float = 120.0) -> None:
        self.supervisor = ModelSupervisor(model, connection, self._canary, every=5.0, silence=seconds)
        self._connection = connection
        self._model = model
        self._seconds = seconds

    async def matte(self, pixels: Pixels, *, network: str | None = None) -> Matte:
        """By the network of that name, else by the one that fits the picture.

        Raises InvalidRequest, also MATTE_MODEL_MISSING, Unavailable or Internal.
        """
        request = {} if network is None else {"model": network}

        async def once(_: WatchedRequest) -> Matte:
            answer = await self._connection.infer(self._model, request, {"IMAGE": pixels}, timeout=self._seconds)
            return matte_of(answer.event, answer.pixels, pixels)

        return await self.supervisor.carry(once)

    async def _canary(self) -> CanaryReply:
        try:
            request = {"canary": True}
            answer = await self._connection.infer(self._model, request, {"IMAGE": _PROBE}, timeout=_CANARY_SECONDS)
            matte_of(answer.event, answer.pixels, _PROBE)
            models = event_of(answer.event, ModelsEvent).served()
        except BROKEN as error:
            raise ModelLost(error.message, told=True) from error
        return CanaryReply(models=models)
