"""Ports that are free, and stay so until who was given one listens there."""

import secrets
import socket
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST = 10_000
_BELOW = 32_768  # of Linux as it comes; IANA's range of ports that systems give out begins at 49,152 (RFC 6335)
_given: set[int] = set()  # by this process; who got one may not listen yet


def free_port() -> int:
    """A port of loopback that nobody listens at, and none that the system gives to whoever connects somewhere: a server that is started
    again would find it taken.
    """
    try:
        below = int(_RANGE.read_text().split()[0])
    except OSError:
        below = _BELOW
    ports = range(_FIRST, below) if below > 2 * _FIRST else range(_FIRST, _BELOW)
    while True:
        port = secrets.choice(ports)  # others choose at the same time, and may have seeded `random` likewise
        if port in _given:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # where somebody listened a moment ago is free
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
