"""The certificate authorities that connections of ours trust."""

from __future__ import annotations

import ssl
from functools import cache

import httpx2


@cache
def authorities(*, trust_env: bool) -> ssl.SSLContext:
    """One for all: reading them takes longer than everything else of a client. `trust_env`: SSL_CERT_FILE counts."""
    return httpx2.create_ssl_context(trust_env=trust_env)
