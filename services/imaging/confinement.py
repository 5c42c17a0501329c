"""What the kernel takes from a process that reads strangers' files: opening anything by name, sockets, processes.

Landlock (landlock(7), Linux 5.13) denies every file, and any look into a process outside. A seccomp filter lets through
only the calls that a decoder needs. Neither needs a privilege, both hold root as well, and both stay until the process
ends. The numbers below are the kernel's own, which never change.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from typing import NamedTuple

_PR_SET_NO_NEW_PRIVS = 38
_LANDLOCK_CREATE, _LANDLOCK_RESTRICT = 444, 446
_VERSION_ONLY = 1
# What each version of Landlock (its index plus one) knows of files, of TCP, and of signals and abstract sockets.
_FILE_RIGHTS = (13, 14, 15, 15, 16)
_TCP_SINCE, _SCOPES_SINCE = 4, 6
_SECCOMP_FILTER, _ALL_THREADS = 1, 1
_LOAD, _IF_EQUAL, _IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_CALL_AT, _MACHINE_AT, _ARGUMENTS_AT = 0, 4, 16
_CLONE_THREAD, _AT_EMPTY_PATH = 0x00010000, 0x1000


class SyscallTable(NamedTuple):
    """How one kind of processor numbers the calls: `allowed`, those allowed under a condition, and seccomp itself."""

    name: int
    allowed: tuple[int, ...]
    clone: int
    newfstatat: int
    seccomp: int


# read write close fstat lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask rt_sigreturn pread64 pwrite64 readv
# writev sched_yield mremap madvise dup nanosleep getpid sendto recvfrom sendmsg recvmsg shutdown exit fcntl ftruncate
# gettimeofday sysinfo sigaltstack gettid futex sched_getaffinity restart_syscall fadvise64 clock_gettime
# clock_nanosleep exit_group set_robust_list ppoll fallocate getrandom membarrier rseq; poll and time where they exist.
_ON_X86_64 = (
    *(0, 1, 3, 5, 8, 9, 10, 11, 12, 13, 14, 15, 17, 18, 19),
    *(20, 24, 25, 28, 32, 35, 39, 44, 45, 46, 47, 48, 60, 72, 77),
    *(96, 99, 131, 186, 202, 204, 219, 221, 228, 230),
    *(231, 273, 271, 285, 318, 324, 334, 7, 201),
)
_ON_AARCH64 = (
    *(63, 64, 57, 80, 62, 222, 226, 215, 214, 134, 135, 139, 67, 68, 65),
    *(66, 124, 216, 233, 23, 101, 172, 206, 207, 211, 212, 210, 93, 25, 46),
    *(169, 179, 132, 178, 98, 123, 128, 223, 113, 115),
    *(94, 99, 73, 47, 278, 283, 293),
)
_MACHINES = {
    "x86_64": SyscallTable(0xC000003E, _ON_X86_64, clone=56, newfstatat=262, seccomp=317),
    "aarch64": SyscallTable(0xC00000B7, _ON_AARCH64, clone=220, newfstatat=79, seccomp=277),
}
_CLONE3 = 435


def confine() -> list[str]:
    """From here on, for this process and all its threads. Answers what is in force: "landlock", "seccomp" or neither.

    Whatever is still to be imported must have been imported.
    """
    if sys.platform != "linux":
        return []
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return []
    return [name for name, deny in (("landlock", deny_files), ("seccomp", deny_calls)) if deny(libc)]


def deny_files(libc: ctypes.CDLL) -> bool:
    """A ruleset that handles every right and grants none."""
    version = libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), _VERSION_ONLY)
    if version < 1:
        return False
    rights = (1 << _FILE_RIGHTS[min(version, len(_FILE_RIGHTS)) - 1]) - 1
    tcp, scopes = (3 if version >= since else 0 for since in (_TCP_SINCE, _SCOPES_SINCE))
    attributes = struct.pack("=QQQ", rights, tcp, scopes)[: 24 if scopes else 16 if tcp else 8]
    ruleset = libc.syscall(_LANDLOCK_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0)
    if ruleset < 0:
        return False
    try:
        return bool(libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def deny_calls(libc: ctypes.CDLL) -> bool:
    """A filter for every thread; what it does not know answers EPERM."""
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        return False
    code = _filter(machine)
    held = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("@HP", len(code) // 8, ctypes.addressof(held))
    return bool(libc.syscall(machine.seccomp, _SECCOMP_FILTER, _ALL_THREADS, program) == 0)


def _filter(machine: SyscallTable) -> bytes:
    """As classic BPF (seccomp(2)): the kind of processor first, for another one numbers its calls otherwise."""
    steps = [_step(_LOAD, _MACHINE_AT), _step(_IF_EQUAL, machine.name, then=1), _step(_RETURN, _KILL)]
    steps.append(_step(_LOAD, _CALL_AT))
    for call in machine.allowed:
        steps += [_step(_IF_EQUAL, call, otherwise=1), _step(_RETURN, _ALLOW)]
    # A thread, not a process. What clone3 wants lies in memory, where no filter reads it: libraries fall back to clone.
    steps += _only_if(machine.clone, 0, _step(_IF_ANY_BIT, _CLONE_THREAD, otherwise=1))
    steps += [_step(_IF_EQUAL, _CLONE3, otherwise=1), _step(_RETURN, _REFUSE | errno.ENOSYS)]
    # Of an open file, as some libraries spell fstat.
    steps += _only_if(machine.newfstatat, 3, _step(_IF_EQUAL, _AT_EMPTY_PATH, otherwise=1))
    steps.append(_step(_RETURN, _REFUSE | errno.EPERM))
    return b"".join(steps)


def _only_if(call: int, argument: int, condition: bytes) -> list[bytes]:
    load = _step(_LOAD, _ARGUMENTS_AT + 8 * argument)  # its lower half, on both kinds of processor
    ends = [_step(_RETURN, _ALLOW), _step(_RETURN, _REFUSE | errno.EPERM)]
    return [_step(_IF_EQUAL, call, otherwise=4), load, condition, *ends]


def _step(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)
