"""The starter matte network: a small U-Net with attention, told also what differs from the picture's border."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS = (24, 48, 96, 160)


def block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class Attention(nn.Module):
    """Pre-norm self-attention over every place of a feature map, then a two-layer perceptron."""

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.queries_keys_values, self.merge = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mix = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, tokens: Tensor) -> Tensor:
        n, count, width = tokens.shape
        parts = self.queries_keys_values(self.before(tokens)).view(n, count, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        weights = torch.softmax(query @ key.transpose(-1, -2) * (width // self.heads) ** -0.5, dim=-1)
        tokens = tokens + self.merge((weights @ value).transpose(1, 2).reshape(n, count, width))
        return tokens + self.mix(self.after(tokens))


class MatteNetwork(nn.Module):
    """image [N, 3, S, S] and prior [N, 2, S, S] in 0..1 to logits [N, 1, S, S] and [N, 1, S/16, S/16]; 16 divides S.

    The second, coarse answer is only for the loss: it makes the attention decide what the subject is by itself.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = block(7, WIDTHS[0], 2)
        pairs = list(pairwise(WIDTHS))
        self.down = nn.ModuleList(nn.Sequential(block(a, b, 2), block(b, b)) for a, b in pairs)
        self.attention = nn.ModuleList(Attention(WIDTHS[-1]) for _ in range(2))
        self.coarse = nn.Conv2d(WIDTHS[-1], 1, 1)
        self.up = nn.ModuleList(block(a + b, a) for a, b in reversed(pairs))
        self.last = nn.Sequential(block(WIDTHS[0] + 20, 16), nn.Conv2d(16, 4, 3, 1, 1))

    def forward(self, image: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
        seen = torch.cat([(image - 0.5) * 4, prior * 2 - 1], 1)
        steps = [self.stem(torch.cat([seen, coordinates(seen)], 1))]
        for layer in self.down:
            steps.append(layer(steps[-1]))
        deep = self.look_around(steps.pop())
        coarse = self.coarse(deep)
        for layer, beside in zip(self.up, reversed(steps), strict=True):
            deep = layer(torch.cat([F.interpolate(deep, scale_factor=2.0, mode="nearest"), beside], 1))
        return F.pixel_shuffle(self.last(torch.cat([deep, F.pixel_unshuffle(seen, 2)], 1)), 2), coarse

    def look_around(self, deep: Tensor) -> Tensor:
        n, width, height, across = deep.shape
        tokens = deep.flatten(2).transpose(1, 2)
        for layer in self.attention:
            tokens = layer(tokens)
        return tokens.transpose(1, 2).reshape(n, width, height, across)


def coordinates(like: Tensor) -> Tensor:
    """x and y of every pixel in -1..1, [N, 2, H, W]."""
    height, width = like.shape[-2:]
    y = torch.linspace(-1, 1, height).view(1, 1, height, 1).expand(like.shape[0], 1, height, width)
    x = torch.linspace(-1, 1, width).view(1, 1, 1, width).expand(like.shape[0], 1, height, width)
    return torch.cat([x, y], 1)
