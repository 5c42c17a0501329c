"""CPU time and memory of process trees."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

import psutil


def tree(pid: int) -> list[psutil.Process]:
    """The process and all it started; empty when it is gone."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_seconds(pid: int) -> float:
    """User and system time of the tree so far; the kernel counts in steps of 10 ms."""
    total = 0.0
    for process in tree(pid):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def rss_mib(pid: int) -> float:
    """Resident memory of the tree; pages that processes share count for each."""
    total = 0
    for process in tree(pid):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 2**20


def taken_mib(pids: Mapping[str, int]) -> dict[str, float]:
    """What trees of processes take of the machine: each its own pages, and those of files once for all of them.

    Unlike the proportional set size it says the same whatever else runs there.
    """
    own, files = dict.fromkeys(pids, 0), dict[str, int]()
    for role, pid in pids.items():
        for process in tree(pid):
            for mapped in process.memory_maps(grouped=True):
                own[role] += mapped.anonymous
                files[mapped.path] = max(files.get(mapped.path, 0), mapped.rss - mapped.anonymous)
    return {role: size / 2**20 for role, size in {**own, "files": sum(files.values())}.items()}


class Meter:
    """CPU time from its making on: of each role, of this process, and of everything else on the machine."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._began = self._read()

    def stop(self) -> tuple[dict[str, float], float, float]:
        """Seconds by role, seconds of this process, and the share of all cores' busy time that was neither's."""
        began, ended = self._began, self._read()
        roles = {role: ended.roles[role] - began.roles[role] for role in self._pids}
        own, total = ended.own - began.own, ended.total - began.total
        others = ended.busy - began.busy - own - sum(roles.values())
        return roles, own, max(0.0, others) / total if total else 0.0

    def _read(self) -> _Reading:
        times, own = psutil.cpu_times(), os.times()
        guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
        total = sum(times) - guests
        busy = total - times.idle - getattr(times, "iowait", 0.0)
        roles = {role: cpu_seconds(pid) for role, pid in self._pids.items()}
        return _Reading(roles, own.user + own.system, busy, total)


class _Reading(NamedTuple):
    """Seconds since the start: of each role, of this process, of all cores busy, of all cores."""

    roles: dict[str, float]
    own: float
    busy: float
    total: float
