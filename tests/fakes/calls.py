"""The call of an adapter, with a memory: as the runner keeps it over a worker's death."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from services.providers.calls import UnrecordedCall, VendorJob


class Remembered(UnrecordedCall):
    """`stored` outlives whoever asked; `submitted` is set once a job is known."""

    def __init__(self, capabilities: frozenset[str] | None = None) -> None:
        super().__init__(capabilities)
        self.stored: VendorJob | None = None
        self.submitted = asyncio.Event()

    async def job(
        self,
        submit: Callable[[], Awaitable[VendorJob]],
        note: Mapping[str, Any] | None = None,
        *,
        known: VendorJob | None = None,
    ) -> VendorJob:
        self.stored = self.stored or known or await submit()
        self.submitted.set()
        return self.stored
