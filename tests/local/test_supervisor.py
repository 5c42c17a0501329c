import os
import re
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from deploy.local import lifecycle, runfile
from deploy.local.component import Component
from deploy.local.failures import ComponentFailed, LocalError, PortBusy
from deploy.local.paths import StackFolder
from deploy.local.ports import HOST, is_free
from deploy.local.probes import NotReady
from deploy.local.process_supervisor import ProcessSupervisor
from deploy.local.settings import ExternalServers, Ports
from deploy.local.stack import Stack
from tests.stack import RunningStack


def make_stack(folder: Path, ports: Ports | None = None, elsewhere: ExternalServers | None = None) -> Stack:
    return Stack(
        StackFolder(folder), ports or Ports.free(), elsewhere or ExternalServers(), given={}, only=("nats", "mongodb")
    )


def test_a_busy_port_is_named_with_its_holder_and_the_setting_that_changes_it(tmp_path: Path) -> None:
    ports = Ports.free()
    with socket.socket() as taken:
        taken.bind((HOST, ports.nats))
        taken.listen()
        with pytest.raises(PortBusy) as failure, make_stack(tmp_path, ports):
            pass
    message = str(failure.value)
    assert f"port {ports.nats}" in message
    assert "NATS_PORT=" in message
    assert f"pid {os.getpid()}" in message


def test_a_killed_child_is_started_again(tmp_path: Path) -> None:
    with make_stack(tmp_path) as stack:
        whole = RunningStack(stack)
        killed = whole.kill("nats")
        whole.wait_recovered()
        assert whole.pids["nats"] != killed
        assert whole.restarts("nats") == 1
        assert whole.restarts("mongodb") == 0


def test_what_opens_nats_lies_in_files_for_its_owner_and_nowhere_else(tmp_path: Path) -> None:
    with make_stack(tmp_path) as stack:
        secret_files = [tmp_path / "data" / "nats-access" / name for name in ("operator.nk", "services.creds")]
        keys = [line for file in secret_files for line in file.read_text().splitlines() if re.match("S[OU]", line)]
        process = psutil.Process(RunningStack(stack).pids["nats"])
        seen = "\n".join([*process.cmdline(), *process.environ().values(), str(stack.environment)])
        readable = [file for file in tmp_path.rglob("*") if file.is_file() and file not in secret_files]
        seen += "".join(file.read_bytes().decode(errors="replace") for file in readable)
        assert len(keys) == 2 and not [key for key in keys if key in seen]
        assert {stat.S_IMODE(file.stat().st_mode) for file in secret_files} == {0o600}
        assert stack.environment["NATS_CREDENTIALS"] == str(secret_files[1])


def test_a_nats_of_another_keepers_is_entered_as_its_keeper_says(tmp_path: Path) -> None:
    given = {"NATS_URL": "nats://bus.example:4222", "NATS_CREDENTIALS": "/secrets/ours.creds"}
    stack = Stack(StackFolder(tmp_path), Ports.free(), ExternalServers.from_environment(given), given=given)
    assert stack.environment["NATS_CREDENTIALS"] == "/secrets/ours.creds"
    assert stack.environment["NATS_OPERATOR_KEY"] == ""
    assert "create-key" not in lifecycle.describe(facts(stack)) and "bus.example:4222" in lifecycle.describe(
        facts(stack)
    )


def test_the_stack_says_how_a_tenant_is_let_onto_nats(tmp_path: Path) -> None:
    said = lifecycle.describe(facts(make_stack(tmp_path, ports := Ports.free())))
    assert f"nats://{HOST}:{ports.nats}" in said
    assert f"ACCESS_TARGET={HOST}:{ports.tasks}" in said
    assert "-m services.access create-key --tenant demo --name reader --scope events > demo.creds" in said


def facts(stack: Stack) -> dict[str, Any]:
    """As its run file has them."""
    stack.tell()
    return runfile.read(stack.home)


def test_the_log_says_which_child_died_and_how(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with make_stack(tmp_path) as stack:
        whole = RunningStack(stack)
        whole.kill("mongodb")
        whole.wait_recovered()
    assert "mongodb died (signal SIGKILL); starting it again in 0.2 s" in caplog.text


def test_stop_leaves_no_process_and_no_listener(tmp_path: Path) -> None:
    ports = Ports.free()
    with make_stack(tmp_path, ports) as stack:
        processes = [psutil.Process(pid) for pid in RunningStack(stack).pids.values()]
        assert len(processes) == 2
    assert not any(process.is_running() for process in processes)
    assert is_free(ports.nats)
    assert is_free(ports.mongodb)


def test_a_component_that_ends_at_once_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "nats").write_text("not a folder")
    with pytest.raises(ComponentFailed, match=r"(?s)nats ended with exit status 1 before it was ready.*nats\.log"):
        make_stack(tmp_path).__enter__()


def test_a_service_that_gives_up_once_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tried, ready = tmp_path / "tried", tmp_path / "ready"
    script = "[ -e $0 ] || { touch $0; exit 3; }; touch $1; exec sleep 60"

    def probe() -> None:
        if not ready.exists():
            raise NotReady("not there yet")

    component = Component("moody", ("/bin/sh", "-c", script, str(tried), str(ready)), probe, ports=(), tries=2)
    home = StackFolder(tmp_path / "home")
    home.make()
    supervisor = ProcessSupervisor(component, home, [], lambda: None)
    supervisor.start()
    assert supervisor.ready.wait(20)
    supervisor.stop()
    assert "moody ended with exit status 3 before it was ready" in caplog.text


def test_a_second_stack_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    with make_stack(tmp_path), pytest.raises(LocalError, match="make down"):
        make_stack(tmp_path).__enter__()


def test_a_named_server_that_does_not_answer_is_said_before_anything_starts(tmp_path: Path) -> None:
    nowhere = ExternalServers(nats_url=f"nats://{HOST}:{Ports.free().nats}")
    with pytest.raises(LocalError, match="NATS_URL"):
        make_stack(tmp_path, elsewhere=nowhere).__enter__()
    assert runfile.read(StackFolder(tmp_path))["components"] == {}


def test_the_run_file_is_for_its_owner_only(tmp_path: Path) -> None:
    with make_stack(tmp_path) as stack:
        assert stack.home.run_file.stat().st_mode & 0o777 == 0o600
        assert stack.home.run.stat().st_mode & 0o777 == 0o700


def test_children_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib, tests.local.test_supervisor as t\n"
        "with t.make_stack(pathlib.Path(sys.argv[1])):\n"
        "    print('ready', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        (sys.executable, "-c", program, str(tmp_path)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == "ready\n"
        children = runfile.leftovers(StackFolder(tmp_path))
        supervisor.send_signal(signal.SIGKILL)
    assert len(children) == 2
    assert psutil.wait_procs(children, timeout=20)[1] == []
