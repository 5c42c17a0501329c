"""What can go wrong with the embedded stack, each with its way out."""

from __future__ import annotations


class LocalError(Exception):
    """Said to the person at the terminal as it stands, never as a stack trace."""


class PortBusy(LocalError):
    """Another process listens where a component should."""

    def __init__(self, port: int, component: str, setting: str, holder: str | None) -> None:
        who = f"by {holder}" if holder else "by another process (of another user, or in another container)"
        super().__init__(
            f"port {port}, which {component} needs, is in use {who}.\n"
            f"Stop it, or choose another port: {setting}={port + 1000} make up"
        )
        self.port = port


class ComponentFailed(LocalError):
    """A component did not come up; carries the end of its log."""

    def __init__(self, component: str, why: str, log: str, tail: str) -> None:
        body = f"\nThe last lines of {log}:\n{tail}" if tail else f"\nIts log {log} is empty."
        super().__init__(f"{component} {why}.{body}")
        self.component = component
