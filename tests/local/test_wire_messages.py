"""Messages of the wire protocol are read as the embedded server itself reads them."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from bson import encode
from bson.binary import Binary
from bson.int64 import Int64
from hypothesis import given
from hypothesis import strategies as st
from nx_27017.wire_protocol import OP_MSG

from deploy.local.wire_messages import MessageParser

BODY = encode({"insert": "things", "ordered": False, "lsid": {"id": Binary(b"x" * 16, 4)}, "$db": "one"})
numbers = st.floats(allow_nan=False) | st.builds(Int64, st.integers(0, 9))
values = st.none() | st.booleans() | numbers | st.text(max_size=5)
documents = st.dictionaries(st.text(st.characters(exclude_characters="\0"), max_size=5), values, max_size=4)


def body(document: bytes = BODY) -> bytes:
    return b"\0" + document


def sequence(*of: dict[str, Any], name: bytes = b"documents") -> bytes:
    content = name + b"\0" + b"".join(encode(document) for document in of)
    return b"\1" + struct.pack("<i", 4 + len(content)) + content


def message(*sections: bytes, flags: int = 0) -> bytes:
    content = struct.pack("<I", flags) + b"".join(sections)
    return struct.pack("<iiii", 16 + len(content), 7, 0, 2013) + content


def read(parser: Any, given: bytes) -> Any:
    try:
        return parser.parse(given)
    except Exception:  # noqa: BLE001  # the server answers any with a refusal
        return "refused"


@given(many=st.lists(documents, max_size=4))
def test_a_command_with_its_documents_is_read_alike(many: list[dict[str, Any]]) -> None:
    given = message(body(), sequence(*many))
    assert MessageParser.parse(given) == OP_MSG.parse(given)
    assert MessageParser.parse(given)["sections"][1] == ("payload", {"documents": many})


@pytest.mark.parametrize(
    "unusual",
    [
        message(body()),
        message(sequence({"a": 1}), body()),
        message(body(), sequence({"a": 1}), sequence({"b": 1}, name=b"others")),
        message(body(), flags=1 << 16),
        message(body(), flags=2) + b"sums",
        message(body(), b"\2" + struct.pack("<I", 1) + encode({"a": 1})),
        message(body(), b"\3"),
        message(body(), b"\1"),
        message(body(), sequence({"a": 1})[:-1]),
        message(body(BODY[:-1])),
        message(body(struct.pack("<i", -9))),
        message(body(struct.pack("<i", 1_000))),
    ],
    ids=range(12),
)
def test_an_unusual_message_is_read_or_refused_alike(unusual: bytes) -> None:
    assert read(MessageParser, unusual) == read(OP_MSG, unusual)
