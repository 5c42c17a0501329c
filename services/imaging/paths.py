"""What the path of a stored object may be: one rule for requests, gateway and storage.

A path is names parted by "/", in Unicode NFC. Whatever a person can read and type is kept, spaces of every kind within
a name included; refused is what cannot be seen, what is reserved, and what a request would read as something else.
"""

from __future__ import annotations

import unicodedata

from services.common.errors import InvalidRequest
from services.imaging.sources import PATH_LIMIT, SourceKind, tell_apart

_NAME_BYTES = 200
# Control, format (zero width, direction marks), surrogate, private, unassigned, line and paragraph separators.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def clean_path(path: str) -> str:
    """The path in its one spelling.

    Raises:
        InvalidRequest: PATH_INVALID for what is empty, absolute, too long, climbs, hides, cannot be seen, or would be
            read as an address or as a picture's bytes.
    """
    cleaned = _composed(path)
    if not cleaned:
        raise _invalid(f"a path has 1 to {PATH_LIMIT} characters")
    for name in cleaned.split("/"):
        _check_name(name)
    if not is_read_as_path(cleaned):
        raise _invalid("this would be read as an address or as a picture's bytes")
    return cleaned


def clean_prefix(prefix: str) -> str:
    """Any beginning of a path in its one spelling: it may be empty, and end within a name, behind a space or a "/"."""
    cleaned = _composed(prefix)
    *folders, beginning = cleaned.split("/")
    for name in folders:
        _check_name(name)
    if beginning:
        _check_beginning(beginning)
    return cleaned


def is_visible(text: str) -> bool:
    """Whether every character of it shows, if only as a space."""
    return not any(unicodedata.category(character) in _UNSEEN for character in text)


def _composed(path: str) -> str:
    cleaned = unicodedata.normalize("NFC", path)
    if len(cleaned) > PATH_LIMIT:
        raise _invalid(f"a path has 1 to {PATH_LIMIT} characters")
    if "\\" in cleaned:
        raise _invalid("a path has no backslash")
    if not is_visible(cleaned):
        raise _invalid("a path has printable characters only")
    return cleaned


def _check_name(name: str) -> None:
    if not name:
        raise _invalid("a path has no empty part and does not begin or end with '/'")
    _check_beginning(name)
    if name != name.strip():
        raise _invalid("a name does not begin or end with a space")


def _check_beginning(name: str) -> None:
    if name.startswith("."):
        raise _invalid("names that begin with a dot are reserved")
    if len(name.encode()) > _NAME_BYTES:
        raise _invalid(f"a name has at most {_NAME_BYTES} bytes")


def is_read_as_path(path: str) -> bool:
    """Whether a request that names a picture so means a path."""
    try:
        return tell_apart(path).kind is SourceKind.PATH
    except InvalidRequest:
        return False


def _invalid(why: str) -> InvalidRequest:
    return InvalidRequest(why, reason="PATH_INVALID")
