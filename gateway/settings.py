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
    max_wait_seconds: float = 300.0
    max_stream_seconds: float = 3600.0
    heartbeat_seconds: float = 15.0
    access_ttl_seconds: float = 15.0
    root_path: str = ""

    @property
    def prefix(self) -> str:
        """`root_path` as callers' paths begin with it."""
        path = self.root_path.strip("/")
        return f"/{path}" if path else ""

    @property
    def origins(self) -> list[str]:
        return [origin.strip() for origin in self.cors_origins.split(",") if origin.strip()]
