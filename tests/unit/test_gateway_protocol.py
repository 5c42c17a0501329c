"""How answers leave the gateway."""

import asyncio
from typing import Any, cast

from gateway.edge.transport import CoalescingTransport
from tests.waiting import turns


class Transport:
    """Remembers what was sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.sent.append(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


def joining(transport: Transport) -> Any:
    return CoalescingTransport(cast("asyncio.Transport", transport))


async def test_a_head_and_its_body_are_sent_together() -> None:
    transport = Transport()
    answer = joining(transport)
    answer.write(b"head,")
    answer.write(b"body")
    assert transport.sent == []
    await turns()
    assert transport.sent == [b"head,body"]
    answer.write(b"next")
    await turns()
    assert transport.sent == [b"head,body", b"next"]


async def test_what_is_large_does_not_wait_for_company() -> None:
    transport = Transport()
    answer = joining(transport)
    answer.write(b"head,")
    answer.write(bytes(70_000))
    assert transport.sent == [b"head," + bytes(70_000)]
    await turns()
    assert len(transport.sent) == 1


async def test_what_was_written_goes_out_before_the_connection_closes() -> None:
    transport = Transport()
    answer = joining(transport)
    answer.write(b"last words")
    answer.close()
    assert transport.sent == [b"last words"]
    assert transport.closed
    await turns()


async def test_nothing_is_written_to_a_client_that_has_hung_up() -> None:
    transport = Transport()
    answer = joining(transport)
    answer.write(b"too late")
    transport.closed = True
    await turns()
    assert transport.sent == []
