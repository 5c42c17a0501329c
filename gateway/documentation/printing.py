"""Prints documents to stdout; a reader that stops early is no error."""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def print_json(document: dict[str, Any]) -> None:
    try:
        json.dump(document, sys.stdout, indent=2, ensure_ascii=False)
        print(flush=True)
    except BrokenPipeError:
        # `… | head` has read enough; nothing may be flushed to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
