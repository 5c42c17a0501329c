"""The commands of the Makefile: what each needs set up, and which program it is. Standard library only."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from deploy.local import cleaning, doctor, setup
from deploy.local.failures import LocalError
from deploy.local.paths import APP_PYTHON, ROOT

ALL = setup.PARTS


@dataclass(frozen=True, slots=True)
class Command:
    """Runs `program` with the environment's Python after setting up `parts`, those in `again` whatever is there."""

    program: tuple[str, ...]
    parts: tuple[str, ...] = ("app",)
    again: tuple[str, ...] = ()


COMMANDS = {
    "demo": Command(("-m", "deploy.local.demo"), ALL),
    "up": Command(("-m", "deploy.local.lifecycle", "up"), ALL),
    "run": Command(("-m", "deploy.local.lifecycle", "run"), ALL),
    "down": Command(("-m", "deploy.local.lifecycle", "down")),
    "status": Command(("-m", "deploy.local.lifecycle", "status")),
    "test": Command(("-m", "deploy.local.testing"), ALL),
    "test-clients": Command(("-m", "deploy.local.testing", "tests/clients"), ALL),
    "models": Command(("-m", "deploy.local.models", "list")),
    "model": Command(("-m", "deploy.local.models", "choose"), ("app", "models")),
    "gallery": Command(("-m", "deploy.local.gallery"), ALL),
    "photographs": Command(("-m", "deploy.local.photographs"), ("app", "models", "artefacts")),
    "reliability": Command(("-m", "tests.reliability"), ALL),
    "crash": Command(("-m", "tests.crash"), ALL),
    "fuzz": Command(("-m", "tests.fuzz")),
    "mutation": Command(("-m", "tests.mutation")),
    "bench": Command(("-m", "tests.bench")),
    "profile": Command(("-m", "tests.bench", "profile")),
    "check": Command(("-m", "deploy.local.check")),
    "protos": Command(("protos/generate.py",)),
    "settings": Command(("-m", "deploy.local.settings_table")),
    "openapi": Command(("-m", "gateway.openapi")),
    "asyncapi": Command(("-m", "gateway.documentation.asyncapi")),
    "starter-models": Command(("-m", "deploy.local.starter"), ("app", "models")),
    "setup": Command(("-c", "print('Everything is set up.')"), ALL, again=("artefacts",)),
}
# Done by any Python, without an environment.
AT_ONCE = {"doctor": doctor.examine, "clean": cleaning.clean, "distclean": cleaning.distclean}


def run(arguments: list[str]) -> None:
    """Replaces this process by the command's. Ends it with a message when the machine lacks something."""
    name, rest = (arguments or ["help"])[0], arguments[1:]
    try:
        if name in AT_ONCE:
            raise SystemExit(AT_ONCE[name]())
        command = COMMANDS.get(name)
        if command is None:
            raise LocalError(f"no command {name!r}; there are: {', '.join([*AT_ONCE, *COMMANDS])}")
        setup.ensure(command.parts, again=command.again)
    except LocalError as error:
        raise SystemExit(f"\n{error}") from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    os.chdir(ROOT)
    sys.stdout.flush()
    os.execv(APP_PYTHON, [str(APP_PYTHON), *command.program, *rest])
