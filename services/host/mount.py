"""What a service hands to the process that hosts it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import grpc

from services.common.settings import ServiceSettings
from services.rpc.health import Check


@dataclass(frozen=True)
class MountedService:
    """`names` are full gRPC service names, `internal` those of them that only services of ours may call; `checks` the
    dependencies health asks; `conditions` are told beside them by their names, and make nothing unhealthy.
    """

    names: list[str]
    checks: dict[str, Check] = field(default_factory=dict)
    internal: list[str] = field(default_factory=list)
    conditions: dict[str, Check] = field(default_factory=dict)


# Every `services/<name>/app.py` has `Settings` and `mount` of this shape. Where it says `FRONT = True` it asks other
# services until its own end, which therefore comes before theirs.
Mount = Callable[[grpc.aio.Server, ServiceSettings], AbstractAsyncContextManager[MountedService]]
