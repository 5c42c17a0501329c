"""`make up`, `run`, `down` and `status`: the stack in the background, in the foreground, and its end."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from deploy.local import runfile, terminal, triton
from deploy.local.failures import LocalError
from deploy.local.paths import ROOT, StackFolder, shown
from deploy.local.ports import HOST
from deploy.local.process import kill_families
from deploy.local.settings import ExternalServers, Ports
from deploy.local.stack import Stack

# A little more than a stack takes that ends by itself.
STOP_SECONDS = 13.0
_LOOPBACK = "WEBHOOK_ALLOW_LOOPBACK"
# Triton's own among them.
METRICS_PORT = "_METRICS_PORT"


def up(home: StackFolder) -> None:
    """Returns when everything is ready, and shows how to reach it. Raises LocalError."""
    if runfile.supervisor(home) is None:
        _start_in_background(home)
    facts = wait_ready(home)
    print(describe(facts))


def run_in_foreground(home: StackFolder) -> None:
    """Until Ctrl-C or SIGTERM. Raises LocalError."""
    _run(home, when_ready=lambda: print(describe(runfile.read(home)), flush=True))


def _run(home: StackFolder, when_ready: Callable[[], None]) -> None:
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    with _new_stack(home, stopping):
        when_ready()
        # In slices: a wait without end would keep the signal's handler from running.
        while not stopping.wait(1.0):
            pass


def serve(home: StackFolder) -> None:
    """What `up` leaves in the background."""
    terminal.log_to(str(home.log_of("stack")))
    try:
        _run(home, when_ready=lambda: None)
    except LocalError as error:
        logging.getLogger("stack").error("%s", error)
        facts = runfile.read(home) | {"state": "failed", "failure": str(error)}
        runfile.write(home, facts)
        raise


def down(home: StackFolder) -> None:
    """Whatever its processes do: those that do not end when they are asked to are killed, and named."""
    process = runfile.supervisor(home)
    if process is None:
        print("No stack is running here.")
        return
    process.send_signal(signal.SIGTERM)
    _, left = psutil.wait_procs([process], timeout=STOP_SECONDS)
    if left:
        _kill_all(home, process)
    print("The stack is down; its data stays in .local/data.")


def _kill_all(home: StackFolder, supervisor: psutil.Process) -> None:
    """The supervisor first, which would start the others again."""
    left = runfile.components(home)
    kill_families(list(left.values()), after=supervisor)
    psutil.wait_procs([supervisor, *left.values()], timeout=1)
    triton.remove_regions(home)
    runfile.write(home, runfile.read(home) | {"state": "stopped"})
    names = ", ".join(["the supervisor", *left])
    print(f"It did not end within {STOP_SECONDS:.0f} s: {names} had to be killed; {shown(home.log)} may say why.")


def status(home: StackFolder) -> None:
    facts = runfile.read(home)
    print(describe(facts) if runfile.supervisor(home) else "No stack is running here: make up")


def describe(facts: dict[str, Any]) -> str:
    """Addresses, the development key and each component's state, as lines."""
    rows = [
        f"  {name:10} {part['state']:11} pid {part['pid'] or '-'!s:8} {shown(Path(part['log']))}"
        for name, part in facts["components"].items()
    ]
    return "\n".join(
        [
            *rows,
            "",
            f"  API        {facts['gateway_url']}/api/v1      documentation: {facts['gateway_url']}/docs",
            f"  gRPC       tasks {facts['targets']['tasks']}, storage {facts['targets']['storage']}",
            f"  API key    {facts['api_key']}      (a development key, tenant demo)",
            f"  webhooks   {_webhooks(facts)}",
            *_without(facts),
            f"  draws      {_draws(facts)}",
            "             (make models lists all models, make model ID=owner/name takes another)",
            f"  events     {_events(facts)}",
            f"  metrics    {_metrics(facts)}",
        ]
    )


def _draws(facts: dict[str, Any]) -> str:
    lost = "diffusion" in facts.get("models_unusable", {})
    return f"{'nothing; chosen is ' if lost else ''}{facts.get('generation_model', '')}"


def _without(facts: dict[str, Any]) -> Iterator[str]:
    """The models that the stack runs without, as found at its start."""
    for name, why in facts.get("models_unusable", {}).items():
        reason, _, way_back = why.partition("\n")
        yield f"  WITHOUT    the model {name}, which cannot be used: {reason}"
        yield f"             {way_back}"


def _webhooks(facts: dict[str, Any]) -> str:
    if facts.get("webhooks_on_loopback"):
        return f"http://localhost:<any port>/ may be a webhook_url here ({_LOOPBACK}=true, for development only)"
    return f"a webhook_url on this machine is refused ({_LOOPBACK}=false)"


def _events(facts: dict[str, Any]) -> str:
    """Where they are and how a tenant is let in; the first line of a shell's, the rest below it."""
    url = facts["targets"]["nats_url"].rpartition("@")[2].removeprefix("nats://")
    if not facts.get("nats_accounts"):
        return f"nats://{url}      (a server of its own keeper's; docs/events.md)"
    command = "-m services.access create-key --tenant demo --name reader --scope events > demo.creds"
    return (
        f"nats://{url}      credentials for a tenant (docs/events.md):\n"
        f"             INTERNAL_TOKEN=$(cat .local/run/internal_token) ACCESS_TARGET={facts['targets']['tasks']} \\\n"
        f"             .local/app/bin/python {command}"
    )


def _metrics(facts: dict[str, Any]) -> str:
    """Where each process says what it counts; a line for each."""
    found = {
        name: port
        for name, part in facts["components"].items()
        for setting, port in part["ports"].items()
        if setting.endswith(METRICS_PORT)
    }
    rows = [f"http://{HOST}:{port}/metrics  {name}" for name, port in found.items()]
    return "\n             ".join((*rows, "(what to watch for: docs/monitoring.md)"))


def _new_stack(home: StackFolder, stopping: threading.Event) -> Stack:
    ports, elsewhere = Ports.from_environment(os.environ), ExternalServers.from_environment(os.environ)
    # On the developer's own machine a receiver of webhooks is there, too.
    return Stack(home, ports, elsewhere, given={_LOOPBACK: "true"} | os.environ, stopping=stopping)


def _start_in_background(home: StackFolder) -> None:
    home.make()
    home.run_file.unlink(missing_ok=True)
    with home.log_of("stack").open("ab") as log:
        process = subprocess.Popen(
            (sys.executable, "-m", "deploy.local.lifecycle", "serve"),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    while not home.run_file.exists():
        if process.poll() is not None:
            raise LocalError(f"the supervisor ended at once; the end of {shown(home.log_of('stack'))} says why")
        time.sleep(0.05)


def wait_ready(home: StackFolder, *, tell: bool = True) -> dict[str, Any]:
    """Answers the run file of the stack that starts or runs, telling each component's readiness. Raises LocalError."""
    told: set[str] = set()
    while True:
        facts = runfile.read(home)
        if facts["state"] == "failed":
            raise LocalError(facts["failure"])
        for name, part in facts["components"].items():
            if tell and part["state"] == "ready" and name not in told:
                told.add(name)
                print(f"  {name} is ready after {part['seconds_to_ready']:.1f} s", flush=True)
        if facts["state"] == "ready":
            return facts
        if runfile.supervisor(home) is None:
            raise LocalError(f"the supervisor has ended; the end of {shown(home.log_of('stack'))} says why")
        time.sleep(0.1)


@contextmanager
def stack_at_hand(home: StackFolder) -> Iterator[tuple[dict[str, Any], float]]:
    """The run file of the stack that runs here, else of one for as long as the block; and the seconds it took."""
    begun = time.monotonic()
    if runfile.supervisor(home):
        facts = wait_ready(home, tell=False)
        _require_models(facts)
        yield facts, round(time.monotonic() - begun, 2)
        return
    print("starting the stack; the models take longest", flush=True)
    with Stack(home, Ports.free(), ExternalServers.from_environment(os.environ), given=os.environ):
        facts = runfile.read(home)
        _require_models(facts)
        yield facts, round(time.monotonic() - begun, 2)
        print("stopping what was started", flush=True)


def _require_models(facts: dict[str, Any]) -> None:
    """Raises LocalError: who has every model draw at once has no use for a stack without one."""
    if lost := "\n".join(_without(facts)):
        raise LocalError(lost)


COMMANDS = {"up": up, "run": run_in_foreground, "serve": serve, "down": down, "status": status}


def main() -> None:
    name = sys.argv[1]
    if name == "run":
        terminal.log_to()
    terminal.said_plainly(lambda: COMMANDS[name](StackFolder()))


if __name__ == "__main__":
    main()
