"""The upscaling engine: pictures take turns tile by tile, so that a small one does not wait for a large one."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from failures import Cancelled, InvalidArgument, ModelFailed, OutOfMemory, QueueFull, RequestError, Unavailable
from streams import Pixels, Sink

from .enlarging import Step, enlarge
from .network import Network
from .request import Request, parse
from .settings import Settings

log = logging.getLogger(__name__)
CLOSE_S = 60.0
GREY = 128
STALLED_S = 300.0
"""A tile that takes longer will not end: the canary says so, and whoever watches loads the model anew."""


@dataclass(eq=False)
class _Job:
    request: Request
    sink: Sink
    steps: Iterator[Step]
    arrived: float = field(default_factory=time.perf_counter)
    began: float | None = None


class Engine:
    """Owns one worker thread; canaries are answered beside it, since a tile may take long on a busy machine."""

    def __init__(self, network: Network, settings: Settings) -> None:
        self._network = network
        self._settings = settings
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._tile_began: float | None = None
        self._probes = ThreadPoolExecutor(1, thread_name_prefix="canary")
        self._worker = threading.Thread(target=self._run, name="upscale", daemon=True)
        self._worker.start()

    # -- called from any thread

    def submit(self, fields: Any, sink: Sink, *, image: Pixels | None = None) -> None:
        """Queues a request, or answers it; never raises: what is wrong with it goes to its sink."""
        try:
            self._accept(fields, sink, image)
        except RequestError as error:
            _fail(sink, error)

    def _accept(self, fields: Any, sink: Sink, image: Pixels | None) -> None:
        if not isinstance(fields, Mapping):
            raise InvalidArgument("REQUEST must be a JSON object")
        if self._closed:
            raise Unavailable("the model is being unloaded")
        if fields == {"canary": True}:
            self._probes.submit(self._probe, sink)
            return
        request = parse(fields, image, self._settings.max_pixels)
        steps = enlarge(self._network, request.image, request.width, request.height)
        self._enqueue(_Job(request, sink, steps))

    def _enqueue(self, job: _Job) -> None:
        with self._changed:
            if len(self._jobs) >= self._settings.queue:
                self._jobs = deque(waiting for waiting in self._jobs if not waiting.sink.cancelled())
            if len(self._jobs) >= self._settings.queue:
                raise QueueFull(f"{self._settings.queue} pictures are worked on or wait already")
            self._jobs.append(job)
            self._changed.notify()

    def close(self) -> None:
        """Ends the threads; whoever still waits gets UNAVAILABLE."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._worker.join(CLOSE_S)
        self._probes.shutdown(wait=False)
        for job in self._jobs:
            _fail(job.sink, Unavailable("the model is being unloaded"))

    def _probe(self, sink: Sink) -> None:
        began = time.perf_counter()
        try:
            tile = self._tile_began
            if tile is not None and began - tile > STALLED_S:
                raise ModelFailed(f"the worker has been at one tile for {began - tile:.0f} s")
            grey = self._network.enlarge(np.full((8, 8, 3), GREY, np.float32))
            if abs(float(grey.mean()) - GREY) > GREY / 2:
                raise ModelFailed(f"the network makes {float(grey.mean()):.0f} of a grey of {GREY}")
            waiting = sum(job.began is None for job in list(self._jobs))
            about = {"pid": os.getpid(), "models": [self._network.served]}
            sink.finish({"event": "canary", "ms": _ms(began), "queued": waiting, **about})
        except Exception as error:  # noqa: BLE001  a request's border
            _fail(sink, _as_request_error(error))

    # -- the worker thread

    def _run(self) -> None:
        while (job := self._next()) is not None:
            self._tile_began = time.perf_counter()
            try:
                finished = self._advance(job)
            except Exception as error:  # noqa: BLE001  a request's border: it alone fails
                _fail(job.sink, _as_request_error(error))
                finished = True
            self._tile_began = None
            if not finished:
                with self._changed:
                    self._jobs.append(job)

    def _next(self) -> _Job | None:
        """Whose turn it is; None once the model is being unloaded."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._closed)
            return None if self._closed else self._jobs.popleft()

    def _advance(self, job: _Job) -> bool:
        """One tile. True when it was the last one."""
        if job.sink.cancelled():
            raise Cancelled("the client went away")
        job.began = job.began or time.perf_counter()
        step = next(job.steps)
        event: dict[str, Any] = {"event": "tile", "tile": step.done, "of": step.of}
        if step.rows is None:
            job.sink.send(event)
        else:
            job.sink.send({**event, "top": step.rows.top}, step.rows.pixels)
        if step.done < step.of:
            return False
        job.sink.finish(self._result(job, step.of))
        return True

    def _result(self, job: _Job, tiles: int) -> dict[str, Any]:
        began = job.began or job.arrived
        return {
            "event": "result",
            "width": job.request.width,
            "height": job.request.height,
            "tiles": tiles,
            "queued_ms": round((began - job.arrived) * 1e3, 1),
            "upscale_ms": _ms(began),
            "model": self._network.card,
        }


def _fail(sink: Sink, error: RequestError) -> None:
    try:
        sink.fail(error)
    except Exception:
        log.exception("a client could not be told of its failure")


def _as_request_error(error: Exception) -> RequestError:
    if isinstance(error, RequestError):
        return error
    log.error("the model failed", exc_info=error)
    if isinstance(error, MemoryError):
        return OutOfMemory("there is no memory for this picture")
    return ModelFailed(f"{type(error).__name__}: {error}")


def _ms(since: float) -> float:
    return round((time.perf_counter() - since) * 1e3, 1)
