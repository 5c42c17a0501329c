"""Where the schemas of events are: CloudEvents name theirs by an absolute URI."""

from __future__ import annotations

PACKAGE = "compute.events.v1."
PATH = "/schemas/"
# What names them in a deployment that was not told its own address.
NAMELESS = "urn:atelier:schema:"


def schemas_at(public_url: str) -> str:
    """What all their addresses begin with; `public_url` is "" or where the gateway is reached from outside."""
    return f"{public_url.rstrip('/')}{PATH}" if public_url else NAMELESS


def schema_address(schemas: str, message: str) -> str:
    return f"{schemas}{PACKAGE}{message}"
