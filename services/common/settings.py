"""Settings every process reads from its environment, once, in `__main__`."""

from __future__ import annotations

from typing import Literal, TypeVar

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings


class ServiceSettings(BaseSettings):
    """Shared by all; a service adds its own by inheriting."""

    listen: str = "127.0.0.1:0"
    mongodb_url: str = "mongodb://127.0.0.1:27017"
    mongodb_database: str = "atelier"
    nats_url: str = "nats://127.0.0.1:4222"
    tasks_target: str = "127.0.0.1:50051"
    storage_target: str = "127.0.0.1:50052"
    access_target: str = "127.0.0.1:50051"
    webhooks_target: str = "127.0.0.1:50051"
    internal_token: SecretStr
    grpc_reflection: bool = False
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["console", "json"] = "console"
    call_timeout_seconds: float = 30.0


SettingsT = TypeVar("SettingsT", bound=ServiceSettings)


def read_settings(kind: type[SettingsT]) -> SettingsT:
    """From the environment. Raises SystemExit naming each variable that is missing or wrong, never its value."""
    try:
        return kind()  # type: ignore[call-arg]  # the environment gives them
    except ValidationError as error:
        wrong = "; ".join(f"{str(item['loc'][0]).upper()}: {item['msg']}" for item in error.errors(include_input=False))
        raise SystemExit(f"the environment is not right: {wrong}") from None
