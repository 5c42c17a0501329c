"""A model that may be missing from a deployment, which is then no fault of it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from services.common.errors import Unavailable
from services.providers.triton.connection import TritonConnection
from services.providers.triton.failures import ModelLost
from services.providers.triton.processes import end_stub
from services.providers.triton.supervisor import Canary, ModelSupervisor

_LOOK_SECONDS = 15.0


class OptionalModel:
    """Watched by a supervisor as soon as it is served."""

    def __init__(self, model: str, connection: TritonConnection, canary: Canary, *, silence: float) -> None:
        """`silence` as `ModelSupervisor` says."""
        self.model = model
        ends = end_stub if connection.is_here else None
        self.supervisor = ModelSupervisor(model, connection, canary, every=5.0, silence=silence, end_process=ends)
        self._connection = connection
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
                state = await self._connection.state(self.model)
                # One that could not be loaded is there all the same, and broken.
                self._served = state.name == "READY" or state.in_passing or state.failed
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
