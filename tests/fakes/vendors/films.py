"""A film as vendors give it."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import imageio_ffmpeg

SIZE, FPS, FRAMES = (64, 48), 12, 24


@cache
def tiny_film() -> bytes:
    """H.264 in an MP4: FRAMES of SIZE at FPS."""
    with TemporaryDirectory() as folder:
        target = Path(folder) / "film.mp4"
        source = f"testsrc=size={SIZE[0]}x{SIZE[1]}:rate={FPS}:duration={FRAMES / FPS}"
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", source]
        subprocess.run([*command, "-pix_fmt", "yuv420p", str(target)], check=True, timeout=60)
        return target.read_bytes()
