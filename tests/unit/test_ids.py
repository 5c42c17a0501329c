"""Identifiers drawn in advance."""

import os
from uuid import UUID

from services.common.ids import new_hex, new_uuid


def test_an_id_is_a_random_uuid() -> None:
    found = [new_uuid() for _ in range(2_000)]
    assert len(set(found)) == 2_000
    for text in found:
        parsed = UUID(text)
        assert str(parsed) == text
        assert parsed.version == 4
        assert parsed.variant == "specified in RFC 4122"


def test_names_of_requests_never_repeat() -> None:
    found = [new_hex() for _ in range(2_000)]
    assert len(set(found)) == 2_000
    assert all(len(bytes.fromhex(text)) == 16 for text in found)


def test_a_forked_process_draws_its_own() -> None:
    new_uuid()  # so that there is a remainder to share
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, new_uuid().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 36).decode() != new_uuid()
