"""One decoding child process as its parent sees it."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog

from services.common.errors import Unavailable

log = structlog.get_logger()
_ROOT = Path(__file__).resolve().parents[2]
_ANSWER_BYTES = 4096
_START_SECONDS = 30.0
_CONFINEMENT = frozenset({"landlock", "seccomp"})


class DecoderDied(Exception):
    """It ended before it answered."""


class DecoderProcess:
    """Takes one request at a time; after a failed one it must be killed."""

    def __init__(self, process: subprocess.Popen[bytes], channel: socket.socket) -> None:
        self._process = process
        self._channel = channel

    @classmethod
    async def start(cls, memory_bytes: int) -> DecoderProcess:
        """Returns when it is ready. Raises Unavailable."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            process = await asyncio.to_thread(_spawn, theirs, memory_bytes)
        child = cls(process, ours)
        try:
            async with asyncio.timeout(_START_SECONDS):
                _tell((await child._receive())["confined"])
        except BaseException as error:
            await child.kill()
            if isinstance(error, (TimeoutError, DecoderDied)):
                raise Unavailable("the image decoder does not start", reason="DECODER_UNAVAILABLE") from error
            raise
        return child

    async def ask(self, request: dict[str, Any], files: Sequence[int]) -> dict[str, Any]:
        """Raises DecoderDied."""
        try:
            socket.send_fds(self._channel, [json.dumps(request).encode()], list(files))
        except OSError as error:
            raise DecoderDied from error
        return await self._receive()

    async def kill(self) -> None:
        self._channel.close()
        self._process.kill()
        await asyncio.to_thread(self._process.wait)

    async def _receive(self) -> dict[str, Any]:
        try:
            message = await asyncio.get_running_loop().sock_recv(self._channel, _ANSWER_BYTES)
        except OSError as error:
            raise DecoderDied from error
        if not message:
            raise DecoderDied
        answer: dict[str, Any] = json.loads(message)
        return answer


def _tell(confined: list[str]) -> None:
    missing = _CONFINEMENT.difference(confined)
    if missing:
        log.warning("image decoder is not fully confined", by=confined, missing=sorted(missing))
    else:
        log.info("image decoder is confined", by=confined)


def _spawn(channel: socket.socket, memory_bytes: int) -> subprocess.Popen[bytes]:
    """Not the event loop's own way, which forks: gRPC's threads do not take that well."""
    return subprocess.Popen(
        (sys.executable, "-m", "services.imaging.decoder_main", str(memory_bytes)),
        # Nothing of ours, secrets least of all, is in its environment.
        env={"PYTHONPATH": str(_ROOT), "LC_ALL": "C.UTF-8"},
        cwd=_ROOT,
        stdin=channel.fileno(),
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
