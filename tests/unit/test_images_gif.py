"""A GIF whose first frame is smaller than its canvas."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from services.imaging.pixels import decode
from tests.picture_bench import saved


@pytest.mark.field("gif-canvas")
@pytest.mark.parametrize("transparent", [False, True])
def test_what_the_first_frame_leaves_free_is_transparent(transparent: bool, tmp_path: object) -> None:
    frame = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6) % 4 + 1).convert("P")
    content = bytearray(saved(frame, "GIF", **({"transparency": 2} if transparent else {})))
    content[6:10] = (10).to_bytes(2, "little") + (8).to_bytes(2, "little")
    at = content.index(b"\x2c\0\0\0\0\x06\0\x04\0")
    content[at + 1 : at + 5] = (3).to_bytes(2, "little") + (2).to_bytes(2, "little")
    with open(f"{tmp_path}/a.gif", "w+b") as file:
        file.write(content)
        file.flush()
        made = np.asarray(decode(file, max_pixels=1000).picture)
    assert made.shape == (8, 10, 4)
    outside = np.ones((8, 10), bool)
    outside[2:6, 3:9] = False
    assert (made[outside][:, 3] == 0).all()
    assert (made[~outside][:, 3] == 255).mean() == (0.75 if transparent else 1)
    assert Image.open(io.BytesIO(content)).size == (10, 8)
