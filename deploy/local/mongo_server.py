"""Runs the embedded MongoDB wire server without its log line per command, which costs more than the command."""
from __future__ import annotations

import logging


def main() -> None:
    from nx_27017 import nx_27017

    logging.disable(logging.INFO)
    nx_27017.main()


if __name__ == "__main__":
    main()
