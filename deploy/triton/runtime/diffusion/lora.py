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


@dataclass(frozen=True)
class Applied:
    adapter: Adapter
    weight: float


@contextmanager
def applied(network: torch.nn.Module, rows: Sequence[Sequence[Applied]]) -> Iterator[None]:
    """Within it, row i of every call of `network` has the adapters `rows[i]`; the others are untouched.

    Forward hooks, not injected layers: the base stays bit-identical, nothing is rebuilt when an adapter comes or goes,
    and each row has its own adapters and weights.
    """
    by_adapter: dict[Adapter, dict[int, float]] = {}
    for at, uses in enumerate(rows):
        for use in uses:
            weights = by_adapter.setdefault(use.adapter, {})
            weights[at] = weights.get(at, 0.0) + use.weight
    by_layer: dict[str, list[tuple[Delta, dict[int, float]]]] = {}
    for adapter, weights in by_adapter.items():
        for name, delta in adapter.deltas.items():
            by_layer.setdefault(name, []).append((delta, weights))
    with ExitStack() as stack:
        for name, changes in by_layer.items():
            hook = network.get_submodule(name).register_forward_hook(_adder(changes, len(rows)))
            stack.callback(hook.remove)
        yield


def _adder(changes: Sequence[tuple[Delta, dict[int, float]]], batch: int) -> Callable[..., torch.Tensor]:
    def add(layer: torch.nn.Module, arguments: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
        inputs = arguments[0]
        if len(inputs) != batch:
            raise ValueError(f"a layer with a LoRA was called with {len(inputs)} rows of {batch}")
        for delta, weights in changes:
            output = _add(output, delta, weights, layer, inputs)
        return output

    return add


def _add(
    output: torch.Tensor, delta: Delta, weights: dict[int, float], layer: torch.nn.Module, inputs: torch.Tensor
) -> torch.Tensor:
    rows = list(weights)
    whole = len(rows) == len(inputs)
    change = delta(layer, inputs if whole else inputs[rows])
    scale = torch.tensor([delta.scale * weights[row] for row in rows], dtype=change.dtype, device=change.device)
    change = (change * scale.view(-1, *[1] * (change.ndim - 1))).to(output.dtype)
    return output + change if whole else output.index_add(0, torch.tensor(rows, device=output.device), change)
