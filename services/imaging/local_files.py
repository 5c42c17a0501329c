"""Pictures that lie as files on this machine, below the folders an operator opened for that and nowhere else."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from services.common.errors import InvalidRequest, NotFound, PayloadTooLarge

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class LocalFiles:
    """Every tenant may read what lies below `roots`; without roots nothing is read."""

    def __init__(self, roots: Sequence[Path] = ()) -> None:
        self._roots = tuple(PurePosixPath(root.absolute()) for root in roots)

    async def read(self, url: str, *, max_bytes: int) -> bytes:
        """The file that `file:///…` names.

        No symbolic link below a root is followed, so that nothing placed there leads out of it.

        Raises:
            InvalidRequest: URL_NOT_ALLOWED, whether or not there is something outside the roots.
            NotFound: no such file below a root.
            PayloadTooLarge: IMAGE_TOO_LARGE.
        """
        return await asyncio.to_thread(self._read, path_of(url), max_bytes)

    def _read(self, path: PurePosixPath, max_bytes: int) -> bytes:
        root = _root_of(path, self._roots)
        return _read_below(root, path.relative_to(root), max_bytes)


def check_below(url: str, roots: Sequence[Path]) -> None:
    """Raises InvalidRequest: URL_NOT_ALLOWED unless `url` names a file below one of `roots`, there or not."""
    _root_of(path_of(url), [PurePosixPath(root.absolute()) for root in roots])


def _root_of(path: PurePosixPath, roots: Sequence[PurePosixPath]) -> PurePosixPath:
    root = next((root for root in roots if root in path.parents), None)
    if root is None:
        raise _not_allowed("no local file may be read there" if roots else "local files are not read here")
    return root


def path_of(url: str) -> PurePosixPath:
    """Raises InvalidRequest: URL_NOT_ALLOWED unless it is a plain `file:///…` that climbs nowhere."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise _not_allowed("a local file reads file:///folder/picture.png") from error
    path = PurePosixPath(unquote(parts.path))
    plain = parts.scheme.lower() == "file" and not (parts.netloc or parts.query or parts.fragment)
    if not plain or not path.is_absolute() or ".." in path.parts or "\0" in str(path):
        raise _not_allowed("a local file reads file:///folder/picture.png")
    return path


def _read_below(root: PurePosixPath, path: PurePosixPath, max_bytes: int) -> bytes:
    """Folder by folder from the root's own handle: what is exchanged meanwhile for a link is not followed either."""
    try:
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for number, name in enumerate(path.parts, start=1):
            kind = os.O_DIRECTORY if number < len(path.parts) else 0
            parent, descriptor = descriptor, _open_in(descriptor, name, kind)
            os.close(parent)
    except OSError as error:
        raise NotFound("there is no such local file") from error
    try:
        return _content(descriptor, max_bytes)
    finally:
        os.close(descriptor)


def _open_in(folder: int, name: str, kind: int) -> int:
    try:
        return os.open(name, _OPEN | kind, dir_fd=folder)
    except OSError:
        os.close(folder)
        raise


def _content(descriptor: int, max_bytes: int) -> bytes:
    """Of a regular file only: a pipe or a device would never end."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise NotFound("there is no such local file")
    if status.st_size > max_bytes:
        raise PayloadTooLarge(f"a picture has at most {max_bytes} bytes", reason="IMAGE_TOO_LARGE")
    with open(descriptor, "rb", closefd=False) as file:
        return file.read(max_bytes)


def _not_allowed(why: str) -> InvalidRequest:
    return InvalidRequest(why, reason="URL_NOT_ALLOWED")
