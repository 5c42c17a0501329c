"""How pictures lie in memory."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.uint8]
"""Rows, columns and mostly channels: `[H, W, 3]` in RGB, `[H, W, 4]` with straight alpha, `[H, W, 1]` or `[H, W]`."""
