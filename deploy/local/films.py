"""Frames of films, for sheets."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import imageio_ffmpeg
from PIL import Image

_ALL = 48
"""Of two seconds, which is what is filmed here."""


def frames(mp4: bytes, count: int) -> list[Image.Image]:
    """So many of them, evenly spread."""
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        film.write_bytes(mp4)
        pattern = f"select='not(mod(n\\,{max(1, _ALL // count)}))'"
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", str(film), "-vf", pattern]
        subprocess.run([*command, "-fps_mode", "vfr", f"{folder}/%02d.png"], check=True)
        return [Image.open(path).copy() for path in sorted(Path(folder).glob("*.png"))[:count]]
