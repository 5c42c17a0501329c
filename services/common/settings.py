"""Settings every process reads from its environment, once, in `__main__`."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings


def _check_public(url: str) -> str:
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment):
        raise ValueError("must be an absolute http(s) address without query")
    return url


PublicUrl = Annotated[str, AfterValidator(_check_public)]


class ServiceSettings(BaseSettings):
    """Shared by all; a service adds its own by inheriting."""

    listen: str = "127.0.0.1:0"
    """host:port of the process's gRPC; port 0 takes a free one."""
    mongodb_url: str = "mongodb://127.0.0.1:27017"
    """MongoDB, or a server that speaks its protocol."""
    mongodb_database: str = "atelier"
    """Name of the database."""
    nats_url: str = "nats://127.0.0.1:4222"
    """The NATS server, with JetStream; `tls://` where it is to be encrypted."""
    nats_credentials: str = ""
    """File with the credentials of the services' user on NATS. Unset, the server must let anybody in."""
    access_target: str = "127.0.0.1:50051"
    """host:port of the service that knows API keys, which every process asks."""
    internal_token: SecretStr
    """What the services of one deployment know each other by. The same for all, and secret."""
    metrics_host: str = "127.0.0.1"
    """Address that `/metrics` listens on: one that only whoever collects them can reach."""
    metrics_port: int = Field(default=0, ge=0, le=65535)
    """Port of `/metrics`, never one that callers reach. 0: none."""
    metrics_by_tenant: bool = False
    """Whether metrics tell up to 200 tenants apart by their names."""
    grpc_reflection: bool = False
    """Whether gRPC says what it can be asked."""
    public_url: PublicUrl = ""
    """Where the gateway is reached from outside, with its prefix: events name their schemas below it."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The least that is logged."""
    log_format: Literal["console", "json"] = "console"
    """For people or for programs."""
    call_timeout_seconds: float = 30.0
    """How long one call between services may take."""


def split(value: object) -> object:
    """Comma-separated in the environment."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


SettingsT = TypeVar("SettingsT", bound=ServiceSettings)


def read_settings(kind: type[SettingsT]) -> SettingsT:
    """From the environment. Raises SystemExit naming each variable that is missing or wrong, never its value."""
    try:
        return kind()
    except ValidationError as error:
        wrong = "; ".join(f"{str(item['loc'][0]).upper()}: {item['msg']}" for item in error.errors(include_input=False))
        raise SystemExit(f"the environment is not right: {wrong}") from None
