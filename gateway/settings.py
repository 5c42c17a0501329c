"""Settings of the gateway."""

from __future__ import annotations

from pydantic import Field, field_validator

from gateway.edge.connections import networks
from services.clients.storage_client import StorageTargetSettings
from services.clients.tasks_client import TasksTargetSettings
from services.clients.webhooks_client import WebhooksTargetSettings
from services.clients.workflows_client import WorkflowsTargetSettings


class GatewaySettings(TasksTargetSettings, StorageTargetSettings, WebhooksTargetSettings, WorkflowsTargetSettings):
    """Sizes in bytes, times in seconds."""

    gateway_host: str = "127.0.0.1"
    """Address HTTP listens on."""
    gateway_port: int = 8080
    """Port HTTP listens on."""
    cors_origins: str = ""
    """Origins whose pages may ask, by commas; `*` for any. Empty: no pages but our own."""
    max_json_bytes: int = 32 << 20
    """Largest JSON body."""
    max_upload_bytes: int = 64 << 20
    """Largest form with a picture."""
    max_upload_seconds: float = 120.0
    """Longest upload or download of a stored picture."""
    max_wait_seconds: float = 300.0
    """Longest `Prefer: wait=N`."""
    max_stream_seconds: float = 3600.0
    """After so long a stream of events ends; a browser connects again."""
    heartbeat_seconds: float = 15.0
    """A stream of events says so often that it is still there."""
    access_ttl_seconds: float = 15.0
    """How long a key that was good is believed without asking again."""
    root_path: str = ""
    """Prefix under which a proxy shows the API, such as `/atelier`; the proxy may keep it or take it off."""
    head_timeout_seconds: float = Field(default=10.0, gt=0)
    """How long a client may take over a request's head, or be silent before its first."""
    idle_timeout_seconds: float = Field(default=75.0, gt=0)
    """How long a connection may rest between two requests."""
    body_timeout_seconds: float = Field(default=20.0, gt=0)
    """How long a body may stop coming; after so long it must have come at the least rate."""
    answer_timeout_seconds: float = Field(default=30.0, gt=0)
    """How long a client may not read its answer; after so long it must have read at the least rate."""
    least_bytes_per_second: float = Field(default=1000.0, gt=0)
    """The least rate of bodies and answers, on the average."""
    max_connections: int = Field(default=10_000, ge=1)
    """Connections in all; fewer where the process may not open so many files."""
    max_connections_per_address: int = Field(default=256, ge=1)
    """Connections of one address, at most half of all."""
    trusted_proxies: str = "127.0.0.1, ::1"
    """Addresses and networks of proxies, by commas; `*` for all. Each brings many callers and says whether they
    came by HTTPS."""

    @field_validator("trusted_proxies")
    @classmethod
    def _check_networks(cls, value: str) -> str:
        networks(value)
        return value

    @property
    def prefix(self) -> str:
        """`root_path` as callers' paths begin with it."""
        path = self.root_path.strip("/")
        return f"/{path}" if path else ""

    @property
    def origins(self) -> list[str]:
        return [origin.strip() for origin in self.cors_origins.split(",") if origin.strip()]
