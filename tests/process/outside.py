"""In charge of looking at a process from outside."""

import socket
from pathlib import Path


def is_listening(port: int) -> bool:
    """Tell whether a connection is accepted."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def children_of(pid: int) -> list[int]:
    """Return the child processes that are there, zombies too."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
