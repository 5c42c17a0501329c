"""Pictures as chat vendors take them: JPEG in base64, no larger than they look at."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

from PIL import Image

from services.providers.ports import Pixels

MEDIA_TYPE = "image/jpeg"
# Below every vendor's limit, the strictest known being 5 MB of base64 for a picture and 32 MB for a request.
_MOST_BYTES = 3_500_000
_MOST_BYTES_TOGETHER = 18_000_000
_QUALITIES = (92, 80, 60)


def encode_pictures(pictures: Sequence[Pixels], *, longest: int) -> list[str]:
    """Base64 of each RGB `[H, W, 3]`, its longer side at most `longest` pixels. For a thread."""
    share = _MOST_BYTES_TOGETHER // max(len(pictures), 1)
    return [_encode(pixels, longest, min(share, _MOST_BYTES)) for pixels in pictures]


def _encode(pixels: Pixels, longest: int, most_bytes: int) -> str:
    picture = Image.fromarray(pixels)
    side = longest
    while True:
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
        for quality in _QUALITIES:
            target = io.BytesIO()
            picture.save(target, "JPEG", quality=quality, subsampling=0)
            if target.tell() <= most_bytes:
                return base64.b64encode(target.getvalue()).decode()
        side = side * 3 // 4
