"""What the decoder's child can do besides decoding: nothing, whatever a picture makes of it."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from structlog.testing import capture_logs

from services.imaging import decoder_process as children
from services.imaging.decoder import Decoder
from services.imaging.decoder_process import DecoderProcess
from tests.unit.test_images_decoder import LIMITS, drawn, saved

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's own way")

# Each attempt of a process that is confined by what is named on its command line.
PROBE = """
import ctypes, os, socket, subprocess, sys, threading
from pathlib import Path
from services.imaging import decoder_main, confinement
decoder_main.load_everything()
libc, secret = ctypes.CDLL(None, use_errno=True), sys.argv[1]
ours = os.open(secret, os.O_RDONLY)


def sends_to_the_net():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))

def starts():
    if not (made := os.fork()):
        os._exit(0)
    os.waitpid(made, 0)

def spawns():
    subprocess.run(["/bin/true"], check=True)

def traces():
    if libc.ptrace(16, os.getppid(), 0, 0):
        raise PermissionError
    libc.ptrace(17, os.getppid(), 0, 0)

def starts_a_thread():
    done = threading.Event()
    threading.Thread(target=done.set).start()
    if not done.wait(5):
        raise PermissionError

ATTEMPTS = {
    "file": lambda: Path(secret).read_bytes(),
    "new file": lambda: Path(secret + ".new").write_bytes(b"x"),
    "folder": lambda: os.listdir("/"),
    "parent's environment": lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes(),
    "own environment": lambda: Path("/proc/self/environ").read_bytes(),
    "TCP": sends_to_the_net,
    "Unix socket": lambda: socket.socket(socket.AF_UNIX).close(),
    "pair of sockets": lambda: [one.close() for one in socket.socketpair()],
    "process": starts,
    "program": spawns,
    "signal": lambda: os.kill(os.getppid(), 0),
    "open file": lambda: os.pread(ours, 1, 0),
    "thread": starts_a_thread,
}
os.set_inheritable(ours, True)
if "landlock" in sys.argv[2:] and "seccomp" in sys.argv[2:]:
    assert confinement.confine() == ["landlock", "seccomp"]
else:
    libc.prctl(38, 1, 0, 0, 0)
    for name in sys.argv[2:]:
        assert {"landlock": confinement.deny_files, "seccomp": confinement.deny_calls}[name](libc)
for name, attempt in ATTEMPTS.items():
    try:
        attempt()
    except OSError:
        continue
    print(name)
"""
ALL = [
    "file",
    "new file",
    "folder",
    "parent's environment",
    "own environment",
    "TCP",
    "Unix socket",
    "pair of sockets",
    "process",
    "program",
    "signal",
    "open file",
    "thread",
]
NEEDED = ["open file", "thread"]


def possible(secret: Path, *mechanisms: str) -> list[str]:
    command = (sys.executable, "-c", PROBE, str(secret), *mechanisms)
    said = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert said.returncode == 0, said.stderr
    return said.stdout.splitlines()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_bytes(b"secret")
    return file


def test_a_confined_child_opens_neither_a_file_nor_a_socket_nor_its_parents_environment(secret: Path) -> None:
    assert possible(secret) == ALL
    assert possible(secret, "landlock", "seccomp") == NEEDED


def test_either_mechanism_alone_denies_every_file_and_the_parents_environment(secret: Path) -> None:
    assert possible(secret, "seccomp") == NEEDED
    left = possible(secret, "landlock")
    assert not {"file", "new file", "folder", "parent's environment", "own environment", "program"}.intersection(left)


async def test_the_child_that_decodes_is_confined_and_says_so() -> None:
    before = set(psutil.Process().children())
    with capture_logs() as logs:
        async with Decoder(LIMITS, workers=1) as decoder:
            await decoder.decode(saved(drawn()))
            [child] = set(psutil.Process().children()) - before
            status = Path(f"/proc/{child.pid}/status").read_text()  # noqa: ASYNC240  # the kernel answers at once
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status
    assert {"event": "image decoder is confined", "by": ["landlock", "seccomp"], "log_level": "info"} in logs


@pytest.mark.parametrize("there", [[], ["seccomp"], ["landlock"]])
async def test_a_kernel_that_lacks_a_mechanism_is_warned_of(monkeypatch: pytest.MonkeyPatch, there: list[str]) -> None:
    """In place of such a kernel: a child that says what it found."""
    program = f"import os, json; os.write(0, json.dumps({{'confined': {there!r}}}).encode()); os.read(0, 1)"

    def spawn(channel: socket.socket, _: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen((sys.executable, "-c", program), stdin=channel.fileno())

    monkeypatch.setattr(children, "_spawn", spawn)
    with capture_logs() as logs:
        child = await DecoderProcess.start(LIMITS.memory_bytes)
        await child.kill()
    [told] = logs
    assert told["log_level"] == "warning"
    assert set(told["missing"]) == {"landlock", "seccomp"}.difference(there)
