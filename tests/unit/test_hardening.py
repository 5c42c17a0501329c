"""What a service's process shows of itself to others of its user."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's own way")

# Two processes of one ordinary user: the second reads what the first has in its environment.
READING = """
import ctypes, os, sys
from services.common.hardening import hide_secrets
def become_ordinary():
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # as after a start, which changing the user undid
ready, told = os.pipe()
held, end = os.pipe()
holder = os.fork()
if not holder:
    os.close(end)
    become_ordinary()
    if sys.argv[1] == "hidden":
        hide_secrets()
    os.write(told, b"!")
    os.read(held, 1)
    os._exit(0)
os.read(ready, 1)
become_ordinary()
for name in ("environ", "mem", "fd"):
    try:
        open(f"/proc/{holder}/{name}", "rb").close() if name != "fd" else os.listdir(f"/proc/{holder}/fd")
        print(name)
    except PermissionError:
        pass
# What a supervisor and a meter need stays open.
for name in ("cmdline", "stat", "statm", "status"):
    print(name, len(open(f"/proc/{holder}/{name}").read()) > 0)
os.close(end)
"""


def run(script: str, *arguments: str) -> list[str]:
    command = (sys.executable, "-c", script, *arguments)
    said = subprocess.run(command, env={"INTERNAL_TOKEN": "x" * 32}, capture_output=True, text=True, timeout=60)
    assert said.returncode == 0, said.stderr
    return said.stdout.split()


def test_an_ordinary_user_reads_no_secret_of_another_process_of_theirs() -> None:
    open_to_all = ["cmdline", "True", "stat", "True", "statm", "True", "status", "True"]
    assert run(READING, "open") == ["environ", "mem", "fd", *open_to_all]
    assert run(READING, "hidden") == open_to_all


# Whatever would serve says instead whether it may be read.
STARTING = """
import ctypes, sys
import {library}
def instead(serving, **_):
    getattr(serving, "close", lambda: None)()
    print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
{library}.run = instead
sys.argv = ["host", "tasks"]
from {module}.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("module", "library"), [("services.host", "uvloop"), ("services.inference", "uvloop"), ("gateway", "uvicorn")]
)
def test_every_service_hides_its_secrets_before_it_serves(module: str, library: str) -> None:
    assert run(STARTING.format(module=module, library=library)) == ["0"]
