"""The bounded line of requests that wait for a slot."""

import threading
import time
from collections import deque
from dataclasses import dataclass, field

from .errors import QueueFull
from .lora import Applied
from .ports import Sink
from .request import Request


@dataclass(eq=False)
class Ticket:
    """A request in line; `ready` turns true once its LoRA files are in memory."""

    request: Request
    sink: Sink
    ready: bool = True
    adapters: tuple[Applied, ...] = ()
    arrived: float = field(default_factory=time.perf_counter)


class WaitingLine:
    """First come, first served among those that are ready; safe between threads."""

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self._tickets: deque[Ticket] = deque()
        self._probes: deque[Sink] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        return len(self._tickets)

    def put(self, ticket: Ticket) -> None:
        """Raises QueueFull; places of clients that went away are given up first."""
        with self._changed:
            if len(self._tickets) >= self.bound:
                self._tickets = deque(ticket for ticket in self._tickets if not ticket.sink.cancelled())
            if len(self._tickets) >= self.bound:
                raise QueueFull(f"{self.bound} requests wait already")
            self._tickets.append(ticket)
            self._changed.notify()

    def put_probe(self, sink: Sink) -> None:
        with self._changed:
            self._probes.append(sink)
            self._changed.notify()

    def mark_ready(self, ticket: Ticket, adapters: tuple[Applied, ...]) -> None:
        with self._changed:
            ticket.adapters, ticket.ready = adapters, True
            self._changed.notify()

    def remove(self, ticket: Ticket) -> bool:
        """False where it had left already."""
        with self._changed:
            if ticket not in self._tickets:
                return False
            self._tickets.remove(ticket)
            return True

    def take(self, count: int) -> list[Ticket]:
        with self._changed:
            taken = [ticket for ticket in self._tickets if ticket.ready][:count]
            for ticket in taken:
                self._tickets.remove(ticket)
            return taken

    def take_probes(self) -> list[Sink]:
        with self._changed:
            probes = list(self._probes)
            self._probes.clear()
            return probes

    def wait(self) -> bool:
        """Blocks until somebody can be served; False once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._probes or any(t.ready for t in self._tickets))
            return not self._closed

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def drain(self) -> list[Sink]:
        """Everybody who still waits, removed."""
        with self._changed:
            left = [ticket.sink for ticket in self._tickets] + list(self._probes)
            self._tickets.clear()
            self._probes.clear()
            return left
