"""Settings of the gateway."""

from __future__ import annotations

from services.common.settings import ServiceSettings


class GatewaySettings(ServiceSettings):
    """`cors_origins` is a comma-separated list, "*" for any. Sizes in bytes, times in seconds."""

    gateway_host: str = "127.0.0.1"
    gateway_port: int = 8080
    cors_origins: str = ""
    max_json_bytes: int = 32 << 20
    max_upload_bytes: int = 64 << 20
    max_upload_seconds: float = 120.0
    max_wait_seconds: float = 300.0
    max_stream_seconds: float = 3600.0
    heartbeat_seconds: float = 15.0
    access_ttl_seconds: float = 15.0
    root_path: str = ""
    # How long a client may take: for a request's head, between two requests, without sending a byte of a body, without
    # reading a byte of an answer. Bodies and answers must move so many bytes a second once that time is over.
    head_timeout_seconds: float = 10.0
    idle_timeout_seconds: float = 75.0
    body_timeout_seconds: float = 20.0
    answer_timeout_seconds: float = 30.0
    least_bytes_per_second: float = 1000.0
    # Fewer where the process may not open so many files.
    max_connections: int = 10_000
    max_connections_per_address: int = 256
    # Addresses and networks of proxies, by commas: each brings many callers, and says whether they came by HTTPS.
    trusted_proxies: str = "127.0.0.1, ::1"

    @property
    def prefix(self) -> str:
        """`root_path` as callers' paths begin with it."""
        path = self.root_path.strip("/")
        return f"/{path}" if path else ""

    @property
    def origins(self) -> list[str]:
        return [origin.strip() for origin in self.cors_origins.split(",") if origin.strip()]
