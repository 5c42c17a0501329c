"""Estimates in the store: whoever leads writes what it learns, the others read it. What is lost is learnt again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from services.durable.store import Collection, Database, persist, read
from services.workflows.estimates import Estimate, StepEstimates

ESTIMATES = "step_estimates"
_SECONDS = 10.0


class EstimateRecords:
    """One document for each kind of work."""

    def __init__(self, database: Database, estimates: StepEstimates, leads: Callable[[], bool]) -> None:
        self._collection: Collection = database[ESTIMATES]
        self._estimates = estimates
        self._leads = leads

    async def load(self) -> None:
        documents = await read(lambda: self._collection.find({}))
        self._estimates.know({one["_id"]: Estimate(one["seconds"], one["learnt"]) for one in documents})

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(_SECONDS)
            await self.exchange()

    async def exchange(self) -> None:
        """Raises ComputeError."""
        if not self._leads():
            await self.load()
            return
        for key, estimate in self._estimates.take_changed().items():
            document = {"_id": key, **estimate._asdict()}
            await persist(partial(self._collection.replace_one, {"_id": key}, document, upsert=True))
