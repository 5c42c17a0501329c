"""What a failure looks like on the wire, whatever a caller put into it."""

from __future__ import annotations

import pytest

from services.common import errors
from services.rpc.rpc_status import from_status, to_status

# Peers begin to refuse trailers at 8 KiB; the message travels twice, percent-encoded and in base64.
ROOM = 8_192


@pytest.mark.parametrize("text", ["x" * 100_000, "é\n\0" * 40_000, "\U0001f986" * 50_000, "\ud800" * 9_000])
def test_a_status_fits_into_the_trailers(text: str) -> None:
    violations = tuple(errors.Violation(text, text) for _ in range(500))
    status = to_status(errors.InvalidRequest(text, violations=violations))
    assert 3 * len(status.message.encode()) + 4 * status.ByteSize() // 3 < ROOM
    assert len(from_status(status).violations) == 1


def test_a_status_that_fits_comes_back_whole() -> None:
    violations = tuple(errors.Violation(f"field{number}", "is wrong") for number in range(20))
    error = errors.InvalidRequest("no", reason="ODD", violations=violations, retry_after=1.5)
    back = from_status(to_status(error))
    assert (type(back), back.message, back.reason, back.violations, back.retry_after) == (
        errors.InvalidRequest, "no", "ODD", violations, 1.5
    )  # fmt: skip


def test_a_narrower_error_has_the_code_of_its_kind() -> None:
    class Odd(errors.NotFound):
        pass

    assert to_status(Odd("x")).code == to_status(errors.NotFound("x")).code
    assert isinstance(from_status(to_status(errors.ComputeError("x"))), errors.Internal)
