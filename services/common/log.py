"""Structured logs: a constant message, data in fields, secrets taken out."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_SECRET_NAMES = re.compile(r"token|secret|password|authorization|api_?key", re.IGNORECASE)
_SECRET_VALUES = re.compile(r"(Bearer\s+|atl_|whsec_)[\w\-.~+/=]+")


def redact(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hides values named like secrets and anything that looks like a key of ours."""
    for name, value in event.items():
        if _SECRET_NAMES.search(name):
            event[name] = "[redacted]"
        elif isinstance(value, str):
            event[name] = _SECRET_VALUES.sub(r"\1[redacted]", value)
    return event


def forgive_leaving(record: logging.LogRecord) -> bool:
    """An answer that finds its caller gone is no fault of ours: one line, without gRPC's traceback."""
    kind = record.exc_info[0] if record.exc_info else None
    if kind is not None and kind.__name__ == "ExecuteBatchError":
        record.levelno, record.levelname = logging.INFO, "INFO"
        record.msg, record.args, record.exc_info = "a caller left before its answer", (), None
    return True


def configure(service: str, *, level: str, style: str) -> None:
    """Everything goes to standard error, the standard library's loggers too."""
    renderer: Any = (
        structlog.processors.JSONRenderer() if style == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    # At DEBUG libraries show whole documents and messages, callers' secrets among them.
    # The client of vendors names every address it asks, and some addresses are secrets.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    grpc_log = logging.getLogger("grpc._cython.cygrpc")
    if forgive_leaving not in grpc_log.filters:
        grpc_log.addFilter(forgive_leaving)
    logging.basicConfig(handlers=[handler], level=max(logging.getLevelName(level), logging.INFO), force=True)
    structlog.contextvars.bind_contextvars(service=service)
