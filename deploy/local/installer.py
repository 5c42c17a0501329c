"""Runs the package installer and says in plain words why it failed. Standard library only."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections import deque
from pathlib import Path

from deploy.local.failures import LocalError
from deploy.local.interpreters import Interpreter
from deploy.local.paths import LOCAL, LOCKS

_CAUSES = (
    (
        r"No space left on device|os error 28|Errno 28",
        "The disk is full. The environments need about 9 GB under .local (and as much again\n"
        "where uv keeps its cache on another disk). Make room and run the command again: it goes on where it stopped.",
    ),
    (
        r"hash mismatch|Hash mismatch|DO NOT MATCH THE HASHES",
        "A package from the registry is not the one that was locked. Nothing was installed.\n"
        "If a mirror is used, ask its supervisor.",
    ),
    (
        r"dns error|error sending request|Failed to fetch|Connection|timed out|Temporary failure"
        r"|unreachable|certificate|Could not find a version|No matching distribution",
        "The package registry cannot be reached. Behind a proxy set HTTPS_PROXY; for a mirror set\n"
        "UV_DEFAULT_INDEX and PIP_INDEX_URL, for its certificate SSL_CERT_FILE.",
    ),
)
_KEPT_LINES = 15
# uv's list of what it installed, a hundred lines
_LISTED = re.compile(r"\s*[+~-] \S+==")


def provide_uv(python: Interpreter) -> Path:
    """The locked uv in `.local/uv`, else the one on PATH where environments cannot be made without it."""
    program = LOCAL / "uv" / "bin" / "uv"
    if program.exists():
        return program
    found = shutil.which("uv")
    if not python.can_make_environments and found:
        return Path(found)
    folder = LOCAL / "uv"
    run(Path(python.executable), "-m", "venv", str(folder))
    pip = (folder / "bin" / "python", "-m", "pip")
    run(*pip, "install", "--quiet", "--require-hashes", "-r", str(LOCKS / "uv.txt"))
    return program


def run(program: Path, *arguments: str) -> None:
    """Shows what the program writes. Raises LocalError with the cause and the last lines."""
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **_same_index()}
    process = subprocess.Popen(
        (str(program), *arguments), stderr=subprocess.PIPE, text=True, errors="replace", env=environment
    )
    last: deque[str] = deque(maxlen=_KEPT_LINES)
    for line in process.stderr or ():
        last.append(line)
        if not _LISTED.match(line):
            sys.stderr.write(f"  {line}")
    if process.wait():
        raise LocalError(_explained("".join(last), shlex.join((program.name, *arguments))))


def _same_index() -> dict[str, str]:
    """uv does not read pip's settings: hand it the mirror that pip is told to use."""
    mirror = os.environ.get("PIP_INDEX_URL")
    return {"UV_DEFAULT_INDEX": mirror} if mirror and not os.environ.get("UV_DEFAULT_INDEX") else {}


def _explained(output: str, command: str) -> str:
    for pattern, meaning in _CAUSES:
        if re.search(pattern, output):
            return f"{meaning}\n\n{command} ended with:\n{output}"
    return f"{command} failed:\n{output}"
