"""The largest resident memory of each process, looked at while it works."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.bench.processes import rss_mib

_EVERY_SECONDS = 0.5


@contextmanager
def watched(pids: Mapping[str, int]) -> Iterator[dict[str, float]]:
    """MiB by process, children included; whole when the block has ended."""
    peaks = dict.fromkeys(pids, 0.0)
    ended = threading.Event()

    def look() -> None:
        while True:
            for name, pid in pids.items():
                peaks[name] = round(max(peaks[name], rss_mib(pid)), 1)
            if ended.wait(_EVERY_SECONDS):
                return

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield peaks
    finally:
        ended.set()
        looking.join()
