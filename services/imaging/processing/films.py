"""Frames to H.264 in an MP4, by an ffmpeg process of its own."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import imageio_ffmpeg

from services.common.errors import Internal
from services.imaging.processing.arrays import Pixels

_LAST_WORDS = 400
_CLOSE_SECONDS = 60.0


async def encode_mp4(frames: AsyncIterator[Pixels], *, width: int, height: int, fps: int) -> bytes:
    """`frames` are RGB `[height, width, 3]` with even sides.

    The same frames give the same bytes. Cancelling it ends the process.

    Raises:
        Internal: VIDEO_ENCODING_FAILED.
    """
    with tempfile.TemporaryDirectory(prefix="atelier-film-") as folder:
        # A file, not a pipe: the index is moved to its front, so that a browser plays while it loads.
        target = Path(folder) / "film.mp4"
        process = await asyncio.create_subprocess_exec(
            *_command(target, width, height, fps),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            await _feed(process, frames)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return await asyncio.to_thread(target.read_bytes)


async def _feed(process: asyncio.subprocess.Process, frames: AsyncIterator[Pixels]) -> None:
    assert process.stdin is not None and process.stderr is not None
    said = asyncio.ensure_future(process.stderr.read())
    try:
        with suppress(BrokenPipeError, ConnectionResetError):
            async for frame in frames:
                process.stdin.write(frame.tobytes())
                await process.stdin.drain()
            process.stdin.close()
        async with asyncio.timeout(_CLOSE_SECONDS):
            words = (await said).decode("utf-8", "replace").strip()[-_LAST_WORDS:]
            if await process.wait():
                raise Internal(f"the video could not be encoded: {words}", reason="VIDEO_ENCODING_FAILED")
    except TimeoutError as error:
        raise Internal("the video encoder does not end", reason="VIDEO_ENCODING_FAILED") from error
    finally:
        said.cancel()


def _command(target: Path, width: int, height: int, fps: int) -> list[str]:
    given = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps), "-i", "pipe:0"]
    # Players take an untagged film for BT.601 or BT.709 by its size; ours says what it is.
    colours = ["-vf", "scale=out_color_matrix=bt709:out_range=tv", "-colorspace", "bt709", "-color_primaries", "bt709"]
    codec = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-pix_fmt", "yuv420p", "-color_trc", "bt709"]
    exact = ["-threads", "1", "-fflags", "+bitexact", "-flags:v", "+bitexact"]
    program = imageio_ffmpeg.get_ffmpeg_exe()
    start = [program, "-hide_banner", "-loglevel", "error", "-nostdin", "-y"]
    return [*start, *given, *colours, *codec, *exact, "-movflags", "+faststart", str(target)]
