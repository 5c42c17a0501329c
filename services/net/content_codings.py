"""Content codings (RFC 9110, section 8.4.1) that nobody asked for: undone within bounds, or refused by name."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterable, AsyncIterator

from services.common.errors import InvalidRequest

# What object stores and frameworks say although nothing is packed.
_PACK_NOTHING = frozenset({"", "identity", "none", "binary", "utf-8", "utf8", "7bit", "8bit", "aws-chunked"})
_PACKING = frozenset({"gzip", "x-gzip", "deflate"})
_GZIP_OR_ZLIB, _RAW = 47, -15
_PIECE_BYTES = 256 << 10


def is_packed(header: str) -> bool:
    """Raises InvalidRequest: CONTENT_CODING_UNSUPPORTED for what cannot be undone here, or is packed twice."""
    names = [part.strip().lower() for part in header.split(",")]
    packing = [name for name in names if name not in _PACK_NOTHING]
    if not packing:
        return False
    if len(packing) > 1 or packing[0] not in _PACKING:
        said = ", ".join(packing)[:60] if header.isascii() and header.isprintable() else "something unreadable"
        why = f"the server packed its answer as {said}; plain answers, gzip and deflate are taken"
        raise InvalidRequest(why, reason="CONTENT_CODING_UNSUPPORTED")
    return True


async def unpacked(parts: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """The plain bytes, in pieces so small that whoever counts them may stop in time.

    Raises InvalidRequest: CONTENT_CODING_BROKEN.
    """
    inflator: zlib._Decompress | None = None
    try:
        async for part in parts:
            inflator = inflator or _inflator(part)
            while part:
                if inflator.eof:
                    inflator = _inflator(part)  # several members, one behind the other
                yield inflator.decompress(part, _PIECE_BYTES)
                part = inflator.unconsumed_tail or inflator.unused_data
    except zlib.error as error:
        raise _broken() from error
    if inflator is not None and not inflator.eof:
        raise _broken()


def _inflator(head: bytes) -> zlib._Decompress:
    """Of a zlib stream, as the standard has deflate, or of a bare one, as some servers send it."""
    wrapped = head[:2] == b"\x1f\x8b" or (head[0] & 0x0F == 8 and int.from_bytes(head[:2]) % 31 == 0)
    return zlib.decompressobj(_GZIP_OR_ZLIB if wrapped else _RAW)


def _broken() -> InvalidRequest:
    return InvalidRequest("the server's packed answer cannot be unpacked", reason="CONTENT_CODING_BROKEN")
