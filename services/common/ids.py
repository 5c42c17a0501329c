"""Random identifiers, drawn many at a time because each draw is a system call; and derived keys."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable

_DRAWN_BYTES = 4_096
_BYTES = 16
_VARIANT = "89ab"


class _Pool:
    """Not for threads, and not for secrets."""

    def __init__(self) -> None:
        self._hex = ""
        self._at = 0
        os.register_at_fork(after_in_child=self._forget)

    def take(self) -> str:
        """32 hexadecimal digits that were never given out."""
        if self._at >= len(self._hex):
            self._hex, self._at = os.urandom(_DRAWN_BYTES).hex(), 0
        self._at += 2 * _BYTES
        return self._hex[self._at - 2 * _BYTES : self._at]

    def _forget(self) -> None:
        self._hex = ""


_POOL = _Pool()


def new_hex() -> str:
    """128 random bits as 32 hexadecimal digits."""
    return _POOL.take()


def new_uuid() -> str:
    """As `str(uuid.uuid4())`."""
    digits = _POOL.take()
    variant = _VARIANT[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def part_key(key: str, number: int) -> str:
    """The idempotency key of one item of a call that has `key`, or none; no caller's over REST has a space."""
    return f"{hashlib.sha256(key.encode()).hexdigest()} {number}" if key else ""


def distinct(ids: Iterable[str]) -> list[str]:
    """Each once, as it is first spelled: UUIDs name the same in any case (RFC 9562)."""
    found: dict[str, str] = {}
    for name in ids:
        found.setdefault(name.lower(), name)
    return list(found.values())
