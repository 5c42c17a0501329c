"""`python -m gateway` serves HTTP until it is told to stop."""

from __future__ import annotations

import os

import uvicorn

from gateway.app import build_app
from gateway.serving import options
from gateway.settings import GatewaySettings
from services.common import log
from services.common.hardening import hide_secrets
from services.common.memory import calm_collector
from services.common.settings import read_settings
from services.telemetry import recording


def main() -> None:
    settings = read_settings(GatewaySettings)
    log.configure("gateway", level=settings.log_level, style=settings.log_format)
    recording.start("gateway", os.environ)
    hide_secrets()
    calm_collector()
    uvicorn.run(build_app(settings), **options(settings))


if __name__ == "__main__":
    main()
