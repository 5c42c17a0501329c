"""Whether there is anything in a picture that a matte could show: networks find a subject on an empty wall, too."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from services.providers.ports import Matte, Pixels

# A picture is looked at that small, and but for noise it has one colour when no channel spans more levels than this.
_LOOKED_AT, _PLAIN = 64, 4
# Blurred by so much, it differs nowhere by more levels where there is but gradual light (walls, skies and vignettes
# come to 0.8), and hardly anywhere by more where it is faint (photographs at a twentieth of their contrast: 3 to 5).
_BLUR, _SMOOTH, _FAINT = 1.5, 1.0, 3.0
_HARDLY_ANYWHERE = 99
# Of a matte that a network does not believe in itself, less is dust, and more is all of the picture.
_UNBELIEVED, _TRACES, _WHOLE = 0.05, 0.01, 0.95
_SUBJECT = 128


def shows_nothing(pixels: Pixels, matte: Matte) -> bool:
    """Whether RGB `[H, W, 3]` has no subject, whatever `matte` says."""
    small = np.asarray(cv2.resize(pixels, (_LOOKED_AT, _LOOKED_AT), interpolation=cv2.INTER_AREA), np.uint8)
    if int(np.ptp(small.reshape(-1, 3), axis=0).max()) <= _PLAIN:
        return True
    structure = _structure(small)
    if float(structure.max()) <= _SMOOTH:
        return True
    if matte.confidence >= _UNBELIEVED or float(np.percentile(structure, _HARDLY_ANYWHERE)) > _FAINT:
        return False
    share = float((matte.alpha >= _SUBJECT).mean())
    return share < _TRACES or share > _WHOLE


def _structure(small: Pixels) -> NDArray[np.float32]:
    """How far each pixel is from those around it; light that changes at a steady pace is none, at the border too."""
    beyond = int(4 * _BLUR)
    padded = np.pad(
        small.astype(np.float32), ((beyond, beyond), (beyond, beyond), (0, 0)), "reflect", reflect_type="odd"
    )
    apart = np.abs(padded - cv2.GaussianBlur(padded, (0, 0), _BLUR)).max(axis=2)
    return np.asarray(apart[beyond:-beyond, beyond:-beyond], np.float32)
