"""The pictures in progress, in groups that can share a network call."""

import time
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from .lora import Applied
from .ports import Pixels, Sink
from .request import Request


@dataclass(frozen=True, eq=False)
class Original:
    """What an image-to-image picture starts from.

    `latents`, `noise` and `mask` (1: paint) as the network sees them (packed for FLUX); `pixels` [H, W, 3] and
    `alpha` [H, W, 1] in 0..1 (1: paint) at the picture's size.
    """

    latents: torch.Tensor
    noise: torch.Tensor
    pixels: Pixels
    mask: torch.Tensor | None = None
    alpha: Any = None


@dataclass(eq=False)
class Slot:
    """One picture's state between two steps; nothing in it is shared with another."""

    request: Request
    sink: Sink
    conditioning: Any
    scheduler: Any
    generator: torch.Generator
    latents: torch.Tensor
    timesteps: torch.Tensor
    guided: bool
    original: Original | None = None
    adapters: tuple[Applied, ...] = ()
    ignored: tuple[dict[str, Any], ...] = ()
    warnings: tuple[dict[str, Any], ...] = ()
    index: int = 0
    reported: float = 0.0
    previewed: int = 0
    arrived: float = 0.0
    began: float = field(default_factory=time.perf_counter)

    @property
    def timestep(self) -> torch.Tensor:
        return self.timesteps[self.index]

    def reports_next(self, now: float) -> bool:
        """Whether its next step is to be told: of those that come fast not every one, but always the last."""
        is_last = self.index + 1 >= len(self.timesteps)
        return is_last or now - self.reported >= self.request.report_every_ms / 1e3

    @property
    def finished(self) -> bool:
        return self.index >= len(self.timesteps)

    @property
    def key(self) -> Hashable:
        """Slots of one key may share a network call; an exact one shares with nobody."""
        size = (self.request.width, self.request.height)
        return id(self) if self.request.exact else (*size, self.conditioning.shape)


class Board:
    """The running slots; groups take turns, one step each, so that no size starves another."""

    def __init__(self) -> None:
        self._groups: OrderedDict[Hashable, list[Slot]] = OrderedDict()

    def __len__(self) -> int:
        return sum(len(group) for group in self._groups.values())

    def __iter__(self) -> Iterator[Slot]:
        return iter([slot for group in self._groups.values() for slot in group])

    def add(self, slot: Slot) -> None:
        self._groups.setdefault(slot.key, []).append(slot)

    def remove(self, slot: Slot) -> None:
        group = self._groups[slot.key]
        group.remove(slot)
        if not group:
            del self._groups[slot.key]

    def next_group(self) -> list[Slot]:
        """The group whose turn it is, and it goes to the end of the line; empty when nothing runs."""
        if not self._groups:
            return []
        key = next(iter(self._groups))
        self._groups.move_to_end(key)
        return list(self._groups[key])
