"""LoRA adapters added to a network's layers row by row, without touching the network."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F


@dataclass(frozen=True, eq=False)
class Delta:
    """One layer's low-rank change: output += up(down(input)) · scale (arXiv:2106.09685)."""

    down: torch.Tensor
    up: torch.Tensor
    scale: float
    bias: torch.Tensor | None = None

    def __call__(self, layer: torch.nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        inputs = inputs.to(self.down.dtype)
        if isinstance(layer, torch.nn.Conv2d):
            low = F.conv2d(inputs, self.down, None, layer.stride, layer.padding, layer.dilation)
            return F.conv2d(low, self.up, self.bias)
        return F.linear(F.linear(inputs, self.down), self.up, self.bias)


@dataclass(frozen=True, eq=False)
class Adapter:
    """One LoRA file in memory, known by its content hash; `deltas` by the layer's name."""

    sha256: str
    deltas: Mapping[str, Delta]

    @property
    def device(self) -> torch.device:
        return next(iter(self.deltas.values())).down.device


@dataclass(frozen=True)
class Applied:
    adapter: Adapter
    weight: float


@dataclass(frozen=True, eq=False)
class _Rows:
    """Which rows of a call have an adapter, and with what weight."""

    index: torch.Tensor  # [n]
    weights: torch.Tensor  # [n]
    whole: bool

    def add(self, output: torch.Tensor, delta: Delta, layer: torch.nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        change = delta(layer, inputs if self.whole else inputs[self.index])
        scale = (self.weights * delta.scale).to(change.dtype).view(-1, *[1] * (change.ndim - 1))
        change = (change * scale).to(output.dtype)
        return output + change if self.whole else output.index_add(0, self.index, change)


@contextmanager
def applied(network: torch.nn.Module, rows: Sequence[Sequence[Applied]]) -> Iterator[None]:
    """Within it, row i of every call of `network` has the adapters `rows[i]`; the others are untouched.

    Forward hooks, not injected layers: the base stays bit-identical, nothing is rebuilt when an adapter comes or goes,
    and each row has its own adapters and weights.
    """
    changes: dict[str, list[tuple[Delta, _Rows]]] = {}
    for adapter, touched in _by_adapter(rows).items():
        for name, delta in adapter.deltas.items():
            changes.setdefault(name, []).append((delta, touched))
    with ExitStack() as stack:
        for name, own in changes.items():
            hook = network.get_submodule(name).register_forward_hook(_adder(own, len(rows)))
            stack.callback(hook.remove)
        yield


def _by_adapter(rows: Sequence[Sequence[Applied]]) -> dict[Adapter, _Rows]:
    weights: dict[Adapter, dict[int, float]] = {}
    for at, uses in enumerate(rows):
        for use in uses:
            of_rows = weights.setdefault(use.adapter, {})
            of_rows[at] = of_rows.get(at, 0.0) + use.weight
    return {adapter: _rows(adapter, of_rows, len(rows)) for adapter, of_rows in weights.items()}


def _rows(adapter: Adapter, weights: dict[int, float], batch: int) -> _Rows:
    # Once per call, not per layer: on a GPU each such tensor is a copy that waits.
    device = adapter.device
    index = torch.tensor(list(weights), device=device)
    return _Rows(index, torch.tensor(list(weights.values()), device=device), len(weights) == batch)


def _adder(changes: Sequence[tuple[Delta, _Rows]], batch: int) -> Callable[..., torch.Tensor]:
    def add(layer: torch.nn.Module, arguments: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
        inputs = arguments[0]
        if len(inputs) != batch:
            raise ValueError(f"a layer with a LoRA was called with {len(inputs)} rows of {batch}")
        for delta, rows in changes:
            output = rows.add(output, delta, layer, inputs)
        return output

    return add
