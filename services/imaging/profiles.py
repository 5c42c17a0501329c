"""ICC profiles of pictures. Runs in the child process only, as a profile comes from outside like the pixels."""

from __future__ import annotations

import io

from PIL import Image, ImageCms

_SPACES = {"RGB ": ("RGB", "RGBA"), "GRAY": ("L", "LA")}
_SPACE_AT = slice(16, 20)
# Printers' profiles have up to a few MiB.
_MOST_BYTES = 8 << 20


def fits(profile: bytes, mode: str) -> bool:
    """Whether it is whole and describes the colours of pictures of that mode."""
    space = profile[_SPACE_AT].decode("latin-1")
    if len(profile) > _MOST_BYTES or mode not in _SPACES.get(space, ()):
        return False
    try:
        ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return False
    return True


def describes_rgb(profile: bytes) -> bool:
    return profile[_SPACE_AT] == b"RGB "


def in_profile(colour: tuple[int, int, int], profile: bytes) -> tuple[int, int, int]:
    """An sRGB colour in the numbers of `profile`; as it is where the profile tells the way back only."""
    swatch = Image.new("RGB", (1, 1), colour)
    try:
        target = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        translated = ImageCms.profileToProfile(swatch, ImageCms.createProfile("sRGB"), target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return colour
    red, green, blue = (translated or swatch).getpixel((0, 0))  # type: ignore[misc]
    return int(red), int(green), int(blue)
