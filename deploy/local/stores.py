"""The two stores of the stack: the NATS server and the MongoDB wire server."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

from deploy.local import probes
from deploy.local.component import Component
from deploy.local.paths import APP, APP_PYTHON, ROOT, StackFolder
from deploy.local.ports import HOST
from services.access.nats_setup import write_setup


def nats(home: StackFolder, port: int, *, sync_interval: str = "1s", access: Path | None = None) -> Component:
    """The disk follows an acknowledgement after `sync_interval`, which the relay waits for; "always" syncs first.

    It lets nobody in but those whose credentials follow from the operator's key in the folder `access`.
    """
    config = home.run / "nats.conf"

    def prepare() -> None:
        accounts = write_setup(access or home.nats_access)
        _take_over(home.data / "nats" / "jetstream", accounts.services)
        _write(
            config,
            f"server_name: atelier\nhost: {HOST}\nport: {port}\n"
            f"jetstream {{ store_dir: {json.dumps(str(home.data / 'nats'))}, sync_interval: {sync_interval} }}\n"
            f"resolver: {{ type: full, dir: {json.dumps(str(home.data / 'nats-accounts'))} }}\n"
            + accounts.server_settings(),
        )

    return Component(
        name="nats",
        command=(str(nats_program()), "-c", str(config)),
        probe=partial(probes.ask_nats, f"nats://{HOST}:{port}"),
        ports=(("NATS_PORT", port),),
        prepare=prepare,
    )


def _take_over(streams: Path, account: str) -> None:
    """What a server without accounts stored becomes the services'."""
    if (streams / "$G").is_dir() and not (streams / account).exists():
        (streams / "$G").rename(streams / account)


def nats_program() -> Path:
    """The server on PATH, else the one the environment brought."""
    found = shutil.which("nats-server")
    return Path(found) if found else APP / "bin" / "nats-server"


def mongodb(home: StackFolder, port: int) -> Component:
    """The mongod on PATH, else the embedded server that speaks its protocol."""
    if program := shutil.which("mongod"):
        return _mongod(program, home, port)
    pid_file = home.run / "mongodb.pid"
    options = {
        "--data-dir": home.data / "mongodb",
        "--host": HOST,
        "--port": port,
        "--pid-file": pid_file,
        "--log-file": "/dev/null",
    }
    arguments = [str(word) for option in options.items() for word in option]
    return Component(
        name="mongodb",
        command=(str(APP_PYTHON), "-m", "deploy.local.mongo_server", "--threaded", *arguments),
        probe=partial(probes.ask_mongodb, f"mongodb://{HOST}:{port}"),
        ports=(("MONGODB_PORT", port),),
        environment={"PYTHONPATH": str(ROOT)},
        # Left by a killed server it names a process that may by now be another one, and the server would not start.
        prepare=lambda: pid_file.unlink(missing_ok=True),
    )


def _mongod(program: str, home: StackFolder, port: int) -> Component:
    folder = home.data / "mongod"
    return Component(
        name="mongodb",
        command=(program, "--dbpath", str(folder), "--bind_ip", HOST, "--port", str(port)),
        probe=partial(probes.ask_mongodb, f"mongodb://{HOST}:{port}"),
        ports=(("MONGODB_PORT", port),),
        prepare=lambda: folder.mkdir(parents=True, exist_ok=True),
    )


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
