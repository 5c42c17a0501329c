"""`make doctor`: what this machine has, what it lacks, and how to get it. Standard library only."""

from __future__ import annotations

import os
import shutil

from deploy.local import machine, setup
from deploy.local.interpreters import choose
from deploy.local.machine import DoctorFinding
from deploy.local.paths import LOCAL

_SERVERS = {"nats-server": "NATS_URL", "mongod": "MONGODB_URL", "tritonserver": "TRITON_TARGET"}


def examine() -> int:
    """Prints one line for each finding; answers the exit status, 1 when something needed is missing."""
    python = choose()
    LOCAL.mkdir(exist_ok=True)
    missing = [part for part in setup.PARTS if not (LOCAL / part).exists()]
    found = list(machine.findings(python, LOCAL, missing))
    print(report([*found, *_of_parts(), *_of_servers()]))
    faults = [finding for finding in found if not finding.ok]
    print("\nEverything needed is here." if not faults else f"\n{len(faults)} thing(s) missing, see above.")
    return 1 if faults else 0


def report(findings: list[DoctorFinding]) -> str:
    """The findings as lines, each fault with its remedy below it."""
    lines = []
    for finding in findings:
        lines.append(f"{'ok     ' if finding.ok else 'MISSING'}  {finding.subject:21} {finding.detail}")
        if not finding.ok and finding.remedy:
            lines += [f"             {line}" for line in finding.remedy.splitlines()]
    return "\n".join(lines)


def _of_parts() -> list[DoctorFinding]:
    stale = setup.stale(setup.PARTS)
    return [
        DoctorFinding(part, True, "to be made by the next command" if part in stale else "up to date")
        for part in setup.PARTS
    ]


def _of_servers() -> list[DoctorFinding]:
    return [DoctorFinding(name, True, _server(name, setting)) for name, setting in _SERVERS.items()]


def _server(name: str, setting: str) -> str:
    if os.environ.get(setting):
        return f"the one {setting} names"
    found = shutil.which(name)
    return f"{found} (on PATH)" if found else "our own, from its wheel"
