"""What the supervisor has to know of a component to run it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


def _nothing() -> None:
    """The default preparation and clearing."""


@dataclass(frozen=True, slots=True)
class Component:
    """A process of the stack.

    `probe` raises NotReady until the component does its work; `prepare` runs before every start, `clear` after a stop;
    `after` names the components that must be ready first; `patience` (to be ready) and `grace` (to end) are seconds;
    `tries` is how often it may end before it was ever ready.
    """

    name: str
    command: tuple[str, ...]
    probe: Callable[[], None]
    ports: tuple[tuple[str, int], ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    patience: float = 90.0
    grace: float = 10.0
    tries: int = 1
    prepare: Callable[[], None] = _nothing
    clear: Callable[[], None] = _nothing
