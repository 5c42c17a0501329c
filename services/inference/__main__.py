"""`python -m services.inference` runs one worker until it is told to stop."""

from __future__ import annotations

import uvloop

from services.common import log
from services.common.errors import ComputeError
from services.common.hardening import hide_secrets
from services.common.settings import read_settings
from services.host.__main__ import serve
from services.inference.settings import WorkerSettings


def main() -> None:
    settings = read_settings(WorkerSettings)
    log.configure("inference", level=settings.log_level, style=settings.log_format)
    hide_secrets()
    try:
        uvloop.run(serve(["inference"], settings))
    except (OSError, ComputeError) as error:
        raise SystemExit(f"inference: {error}") from error


if __name__ == "__main__":
    main()
