"""TCP ports on loopback: is one free, which one is, does someone listen."""

import random
import socket
import sys
from collections.abc import Container

LOOPBACK = "127.0.0.1"
CANDIDATES = range(20_000, 32_768)
"""Ports below every system's range for outgoing connections, so that none of these takes a port before it is bound."""


class PortTakenError(Exception):
    """Another program listens on a port that the stack was told to use."""


def is_listening(port: int) -> bool:
    """Whether a connection to the port succeeds."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    if is_listening(port):  # macOS lets one bind 127.0.0.1 beside a listener on all addresses
        return False
    with socket.socket() as probe:
        if sys.platform != "win32":  # as servers do: a connection in TIME_WAIT does not hold the port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def choose(port: int, name: str, option: str, others: Container[int] = ()) -> int:
    """The port itself, or for 0 a free one that is none of the others.

    Raises:
        PortTakenError: naming the port, what it was meant for and the option that changes it.
    """
    if port == 0:
        shuffled = random.sample(CANDIDATES, len(CANDIDATES))
        return next(candidate for candidate in shuffled if candidate not in others and is_free(candidate))
    if not is_free(port):
        raise PortTakenError(f"Port {port} ({name}) is taken: free it, or choose another with {option} PORT.")
    return port
