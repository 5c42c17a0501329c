"""The diffusion engine: requests join and leave one running batch between denoise steps."""

import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

from .errors import Cancelled, InvalidArgument, ModelFailed, OutOfMemory, RequestError, Unavailable
from .loading import Model
from .lora_files import LoraFiles
from .painter import Painter
from .pictures import fit_pictures
from .ports import Event, Meter, Pixels, Sink
from .request import parse_request
from .settings import Settings
from .slots import Board, Slot
from .waiting import Ticket, WaitingLine

log = logging.getLogger(__name__)
CLOSE_S = 60.0  # a worker that hangs must not hold up the unloading for ever


class Engine:
    """Owns one worker thread (all network calls) and one reader thread (LoRA files).

    Each round of the worker: answer canaries, admit, drop who went away, one step for the group whose turn it is.
    """

    def __init__(self, model: Model, settings: Settings, meter: Meter) -> None:
        self.model = model
        self._settings = settings
        self._meter = meter
        self._painter = Painter(model)
        self._files = LoraFiles(model.family, keep=settings.lora_keep, root=settings.lora_root)
        self._line = WaitingLine(settings.queue)
        self._board = Board()
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="lora-reader")
        self._worker = threading.Thread(target=self._run, name="denoise", daemon=True)
        self._worker.start()

    # -- called from any thread

    def submit(
        self, fields: Mapping[str, Any], sink: Sink, *, image: Pixels | None = None, mask: Pixels | None = None
    ) -> None:
        """Queues a request, or answers it; never raises: what is wrong with it goes to its sink."""
        try:
            self._accept(fields, sink, image, mask)
        except RequestError as error:
            self._fail(sink, error)

    def _accept(self, fields: Mapping[str, Any], sink: Sink, image: Pixels | None, mask: Pixels | None) -> None:
        if not isinstance(fields, Mapping):
            raise InvalidArgument("REQUEST must be a JSON object")
        if self._line.closed:
            raise Unavailable("the model is being unloaded")
        if fields == {"describe": True}:
            sink.finish(self.describe())
        elif fields == {"canary": True}:
            self._line.put_probe(sink)
        else:
            request = parse_request(fields, self.model.limits, image=image, mask=mask)
            self._enqueue(Ticket(fit_pictures(request), sink))

    def describe(self) -> Event:
        limits, family = self.model.limits, self.model.family
        return {
            "event": "describe",
            "model": self.model.card.as_event(),
            "native": {"width": limits.width, "height": limits.height},
            "made_for": self.model.vocabulary.as_event(),
            "multiple_of": limits.multiple_of,
            "defaults": {"steps": limits.steps, "guidance": limits.guidance},
            "limits": {name: getattr(limits, name) for name in ("max_pixels", "max_steps", "max_loras")},
            "slots": self._settings.slots,
            "queue": self._settings.queue,
            "device": str(family.device),
            "dtype": str(family.dtype).removeprefix("torch."),
            "pid": os.getpid(),
        }

    def close(self) -> None:
        """Ends the threads; whoever still waits or runs gets UNAVAILABLE."""
        self._line.close()
        self._reader.shutdown()
        self._worker.join(CLOSE_S)
        gone = Unavailable("the model is being unloaded")
        for sink in [*self._line.drain(), *(slot.sink for slot in self._board)]:
            sink.fail(gone)

    def _enqueue(self, ticket: Ticket) -> None:
        ticket.ready = not ticket.request.loras
        self._line.put(ticket)
        self._meter.set("queue_depth", len(self._line))
        if not ticket.ready:
            self._reader.submit(self._read_loras, ticket)

    def _read_loras(self, ticket: Ticket) -> None:
        # In a thread of its own, so that a large file never stalls the running batch.
        try:
            adapters = tuple(self._files.fetch(use) for use in ticket.request.loras)
            self._line.mark_ready(ticket, adapters)
        except Exception as error:  # noqa: BLE001  a request's border: it alone fails
            if self._line.remove(ticket):
                self._fail(ticket.sink, _as_request_error(error))

    # -- the worker thread

    def _run(self) -> None:
        torch.set_grad_enabled(False)  # per thread
        while (len(self._board) and not self._line.closed) or self._line.wait():
            try:
                self._round()
            except Exception:
                log.exception("a round of the diffusion worker failed")
                self._fail_all(ModelFailed("the model's worker failed"))

    def _round(self) -> None:
        self._answer_canaries()
        self._admit()
        self._drop_cancelled()
        group = self._board.next_group()
        if group:
            self._step(group)
        self._meter.set("queue_depth", len(self._line))
        self._meter.set("active_slots", len(self._board))

    def _answer_canaries(self) -> None:
        for sink in self._line.take_probes():
            began = time.perf_counter()
            try:
                self._painter.probe(sink)
                load = {"active": len(self._board), "queued": len(self._line)}
                about = {"pid": os.getpid(), "models": [self.model.served]}
                sink.finish({"event": "canary", "ms": _ms(began), **load, **about})
            except Exception as error:  # noqa: BLE001  a request's border
                self._fail(sink, _as_request_error(error))

    def _admit(self) -> None:
        for ticket in self._line.take(self._settings.slots - len(self._board)):
            try:
                if ticket.sink.cancelled():
                    raise Cancelled("the client went away before the first step")
                self._board.add(self._painter.begin(ticket))
            except Exception as error:  # noqa: BLE001  a request's border
                self._fail(ticket.sink, _as_request_error(error))

    def _drop_cancelled(self) -> None:
        for slot in self._board:
            if slot.sink.cancelled():
                self._drop(slot, Cancelled(f"the client went away after step {slot.index}"))

    def _step(self, group: Sequence[Slot]) -> None:
        for slot, prediction in self._predict(group):
            try:
                self._advance(slot, prediction, batch=len(group))
                self._meter.add("steps_total")
                if slot.finished:
                    self._finish(slot)
            except Exception as error:  # noqa: BLE001  a request's border
                self._drop(slot, _as_request_error(error))

    def _advance(self, slot: Slot, prediction: torch.Tensor, *, batch: int) -> None:
        now = time.perf_counter()
        if not slot.reports_next(now):
            self._painter.advance(slot, prediction, reported=False)
            return
        preview = self._painter.advance(slot, prediction)
        slot.reported = now
        of = len(slot.timesteps)
        slot.sink.send({"event": "step", "step": slot.index, "of": of, "batch": batch}, preview)

    def _predict(self, group: Sequence[Slot]) -> list[tuple[Slot, torch.Tensor]]:
        """The group's predictions; where the call fails, each alone, so that only the guilty fail."""
        try:
            return list(zip(group, self._painter.predict(group), strict=True))
        except Exception as error:  # noqa: BLE001  a request's border
            if len(group) == 1:
                self._drop(group[0], _as_request_error(error))
                return []
            log.warning("a call for %d pictures failed, retrying one by one: %s", len(group), type(error).__name__)
        _free_memory()
        return [pair for slot in group for pair in self._predict([slot])]

    def _finish(self, slot: Slot) -> None:
        denoised = time.perf_counter()
        picture = self._painter.develop(slot)
        self._board.remove(slot)
        request = slot.request
        slot.sink.finish(
            {
                "event": "result",
                "steps": slot.index,
                "seed": request.seed,
                "width": request.width,
                "height": request.height,
                "queued_ms": round((slot.began - slot.arrived) * 1e3, 1),
                "denoise_ms": round((denoised - slot.began) * 1e3, 1),
                "decode_ms": _ms(denoised),
                "model": self.model.card.as_event(),
                "loras": [{"sha256": use.adapter.sha256, "weight": use.weight} for use in slot.adapters],
                "ignored": list(slot.ignored),
                "warnings": list(slot.warnings),
            },
            picture,
        )
        self._meter.add("pictures_total")

    # -- failing

    def _drop(self, slot: Slot, error: RequestError) -> None:
        if any(slot is other for other in self._board):
            self._board.remove(slot)
        self._fail(slot.sink, error)

    def _fail(self, sink: Sink, error: RequestError) -> None:
        self._meter.add(f"failed_total/{error.reason}")
        try:
            sink.fail(error)
        except Exception:
            log.exception("a client could not be told of its failure")

    def _fail_all(self, error: RequestError) -> None:
        for slot in self._board:
            self._drop(slot, error)


def _as_request_error(error: Exception) -> RequestError:
    if isinstance(error, RequestError):
        return error
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        log.warning("the device has no memory for a picture")
        _free_memory()
        return OutOfMemory("the device has no memory for this picture")
    if isinstance(error, ArithmeticError):  # most often what a LoRA or its weight does
        log.warning("the model answered no numbers")
    else:
        log.error("the model failed", exc_info=error)
    return ModelFailed(f"{type(error).__name__}: {error}")


def _free_memory() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _ms(since: float) -> float:
    return round((time.perf_counter() - since) * 1e3, 1)
