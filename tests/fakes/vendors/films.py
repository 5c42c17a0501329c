"""A film as vendors give it."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory

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


@cache
def transparent_film(kind: str, *codec: str) -> bytes:
    """The same with the left half transparent, where the codec can; `kind` is the suffix of the container."""
    with TemporaryDirectory() as folder:
        target = Path(folder) / f"film.{kind}"
        drawn = f"testsrc=size={SIZE[0]}x{SIZE[1]}:rate={FPS}:duration=1"
        source = f"{drawn},format=yuva444p,geq=lum='p(X,Y)':a='255*gte(X,W/2)'"
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", source]
        subprocess.run([*command, *codec, str(target)], check=True, timeout=60)
        return target.read_bytes()


def least_alpha(film: bytes) -> int:
    """Of its first frame, 255 where it has no transparency; ffmpeg reads it."""
    with NamedTemporaryFile() as source:
        source.write(film)
        source.flush()
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", source.name, "-frames:v", "1"]
        frame = [*command, "-f", "rawvideo", "-pix_fmt", "rgba", "-"]
        return min(subprocess.run(frame, check=True, timeout=60, capture_output=True).stdout[3::4])
