"""Reads the usual message of MongoDB's wire protocol, a command and at most one sequence of documents, in one go."""

from __future__ import annotations

import struct
from typing import Any

from bson import decode, decode_all
from nx_27017.wire_protocol import OP_MSG

# Lengths, ids, code and flags of a message and kind and size of its first section; the size of a later one.
_BEGIN, _SIZE = struct.Struct("<iiiiIBi"), struct.Struct("<i")
_BODY, _SEQUENCE = 0, 1


class MessageParser:
    """In place of the server's own, which decodes a sequence document by document."""

    @staticmethod
    def parse(message: bytes) -> dict[str, Any]:
        """Raises for a message that makes no sense; the server then refuses it."""
        length, request_id, response_to, code, flags, kind, size = _BEGIN.unpack_from(message)
        end = _BEGIN.size - _SIZE.size + size
        if flags or kind != _BODY or len(message) != length or not (end == length or _ends_in_sequence(message, end)):
            return dict(OP_MSG.parse(message))
        sections: list[tuple[str, Any]] = [("body", decode(message[_BEGIN.size - _SIZE.size : end]))]
        if end < length:
            name, _, documents = message[end + 1 + _SIZE.size :].partition(b"\0")
            sections.append(("payload", {name.decode(): decode_all(documents)}))
        return {
            "request_id": request_id,
            "response_to": response_to,
            "opcode": code,
            "flags": flags,
            "sections": sections,
        }


def _ends_in_sequence(message: bytes, begin: int) -> bool:
    rest = len(message) - begin - 1
    return rest > _SIZE.size and message[begin] == _SEQUENCE and _SIZE.unpack_from(message, begin + 1)[0] == rest
