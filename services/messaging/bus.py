"""The connection to NATS."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import nats.errors
import structlog
from nats.aio.client import Client, RawCredentials

from services.common.errors import Unavailable

log = structlog.get_logger()

_FIRST_ANSWER_SECONDS = 60.0
_QUIET_SECONDS = 30.0
_REFUSAL = "authorization violation"


@asynccontextmanager
async def open_bus(
    url: str, name: str, *, credentials: str | RawCredentials = "", echo: bool = True
) -> AsyncIterator[Client]:
    """A connection that reconnects for as long as the block runs. Without `echo` it does not hear what it says itself.

    `credentials` are a file of NATS's, or the text of one; without, the server must let anybody in.

    Raises Unavailable when nobody answers at first (BUS_UNREACHABLE), or not to us (BUS_REFUSES_CREDENTIALS).
    """
    if isinstance(credentials, str) and credentials and not os.access(credentials, os.R_OK):
        raise Unavailable("the file NATS_CREDENTIALS names cannot be read", reason="BUS_CREDENTIALS_UNREADABLE")
    client, errors = Client(), _ReconnectLog()
    try:
        await errors.unless_refused(_connect(client, url, name, credentials, errors, echo=echo))
        yield client
    finally:
        await client.close()


async def _connect(
    client: Client, url: str, name: str, credentials: str | RawCredentials, errors: _ReconnectLog, *, echo: bool
) -> None:
    try:
        async with asyncio.timeout(_FIRST_ANSWER_SECONDS):
            await client.connect(
                url,
                name=name,
                user_credentials=credentials or None,
                no_echo=not echo,
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.25,  # type: ignore[arg-type]  # it sleeps for as long
                connect_timeout=5,
                ping_interval=10,
                max_outstanding_pings=2,
                pending_size=16 << 20,
                error_cb=errors.note,
                disconnected_cb=_on_disconnect,
                reconnected_cb=_on_reconnect,
            )
    except (OSError, TimeoutError, nats.errors.Error) as error:
        raise Unavailable("NATS does not answer: is NATS_URL right?", reason="BUS_UNREACHABLE") from error


class _ReconnectLog:
    """The client reports the same error at every attempt to reconnect: once in a while is enough."""

    def __init__(self) -> None:
        self._last = ""
        self._quiet_until = 0.0
        self._refused = asyncio.Event()

    async def note(self, error: Exception) -> None:
        now = time.monotonic()
        if repr(error) != self._last or now > self._quiet_until:
            log.warning("bus error", error=repr(error))
            self._last, self._quiet_until = repr(error), now + _QUIET_SECONDS
        if _REFUSAL in str(error).lower():
            self._refused.set()

    async def unless_refused(self, connecting: Coroutine[Any, Any, None]) -> None:
        """The client would try for ever. Raises Unavailable: BUS_REFUSES_CREDENTIALS."""
        attempt, refused = asyncio.create_task(connecting), asyncio.create_task(self._refused.wait())
        try:
            await asyncio.wait((attempt, refused), return_when=asyncio.FIRST_COMPLETED)
            if attempt.done():
                return attempt.result()
        finally:
            attempt.cancel()
            refused.cancel()
            await asyncio.wait((attempt, refused))
        raise Unavailable("NATS does not let us in: is NATS_CREDENTIALS right?", reason="BUS_REFUSES_CREDENTIALS")


async def _on_disconnect() -> None:
    log.warning("bus disconnected")


async def _on_reconnect() -> None:
    log.info("bus reconnected")


async def ping(client: Client) -> None:
    if not client.is_connected:
        raise Unavailable("the bus is not connected", reason="BUS_UNREACHABLE")
    await client.flush(timeout=3)
