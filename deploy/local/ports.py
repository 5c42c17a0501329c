"""Ports: which are free, and who holds one that is not."""

from __future__ import annotations

import random
import socket

import psutil

HOST = "127.0.0.1"
# Below the range from which the kernel serves outgoing connections, so that a port found free stays free.
_SEARCHED = range(20_000, 32_000)


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """`count` different ports on which nobody listens now."""
    found: set[int] = set()
    while len(found) < count:
        port = random.choice(_SEARCHED)
        if port not in found and is_free(port):
            found.add(port)
    return list(found)


def holder_of(port: int) -> str | None:
    """'name (pid 123)' of the process that listens on the port, as far as this user may see it."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return None
    for connection in connections:
        listens = connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,)
        if listens and connection.pid:
            return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return None
