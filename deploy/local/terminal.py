"""How the commands speak to the person at the terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from deploy.local.failures import LocalError


def log_to(path: str | None = None) -> None:
    """The supervisor's log lines: to a file, else to the terminal."""
    logging.basicConfig(
        handlers=[logging.FileHandler(path) if path else logging.StreamHandler()],
        format="%(asctime)s %(levelname)-7s %(message)s",
        datefmt="%Y-%m-%d %H:%M:%S",
    )
    logging.getLogger("stack").setLevel(logging.INFO)


def said_plainly(command: Callable[[], None]) -> None:
    """Runs the command; what it raises as LocalError is printed as it stands, with exit status 1."""
    try:
        command()
    except LocalError as error:
        sys.stdout.flush()
        raise SystemExit(f"\n{error}") from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None
