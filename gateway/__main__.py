"""`python -m gateway` serves HTTP until it is told to stop."""
from __future__ import annotations

import uvicorn
from pydantic import ValidationError

from gateway.app import build_app
from gateway.settings import GatewaySettings
from services.common import log


def main() -> None:
    try:
        settings = GatewaySettings()
    except ValidationError as error:
        wrong = ", ".join(f"{str(item['loc'][0]).upper()}: {item['msg']}" for item in error.errors())
        raise SystemExit(f"gateway: {wrong}") from None
    log.configure("gateway", level=settings.log_level, style=settings.log_format)
    uvicorn.run(
        build_app(settings),
        host=settings.gateway_host,
        port=settings.gateway_port,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
        root_path=settings.root_path,
        timeout_graceful_shutdown=10,
    )


if __name__ == "__main__":
    main()
