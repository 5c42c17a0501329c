"""The embedded stack for tests: free ports, a folder of its own, and handles to hurt it."""
from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from deploy.local.component import Component
from deploy.local.places import Home
from deploy.local.process import Child


@contextmanager
def running(component: Component, home: Home) -> Iterator[Child]:
    """One component on its own, ready when the block begins."""
    home.make()
    child = Child(component, home.log_of(component.name))
    try:
        child.wait_ready(threading.Event())
        yield child
    finally:
        child.stop()
