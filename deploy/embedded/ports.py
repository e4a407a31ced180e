"""Ports: free ones, and those that the data directory used before."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from deploy.embedded.part import HOST

# Below 32768, where Linux begins to give ports to outgoing connections: one of those could otherwise take a
# port in the moment between the end of a server and its restart.
LOWEST, HIGHEST = 15_000, 32_000
ATTEMPTS_MAX = 2_000

PREFERRED: dict[str, int] = {"source": 3306, "kafka": 9092, "kafka_controller": 9093, "s3": 9000, "api": 8000}


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as candidate:
        return _bind(candidate, port)


def free_ports(count: int) -> list[int]:
    """Free ports, all different."""
    ports: list[int] = []
    with ExitStack() as held:
        for port in random.sample(range(LOWEST, HIGHEST), ATTEMPTS_MAX):
            if len(ports) == count:
                break
            # Bound until all are found, so that other processes do not find them.
            if _bind(held.enter_context(socket.socket()), port):
                ports.append(port)
    if len(ports) < count:
        raise OSError(f"no {count} free ports between {LOWEST} and {HIGHEST}")
    return ports


def settle_ports(file: Path, preferred: Mapping[str, int]) -> dict[str, int]:
    """The ports of the file, else the preferred ones; ports in use are replaced.

    A preferred port of 0 is any free port.
    """
    kept = read_ports(file)
    wanted = {name: kept.get(name, port) for name, port in preferred.items()}
    replaced = [name for name, port in wanted.items() if port == 0 or not is_free(port)]
    settled = wanted | dict(zip(replaced, free_ports(len(replaced)), strict=True))
    file.write_text(json.dumps(settled, indent=2) + "\n", encoding="utf-8")
    return settled


def read_ports(file: Path) -> dict[str, int]:
    """The ports in the file; none without a file."""
    if not file.exists():
        return {}
    return {name: int(port) for name, port in json.loads(file.read_text(encoding="utf-8")).items()}


def _bind(candidate: socket.socket, port: int) -> bool:
    # A server that ended a moment ago leaves connections in TIME_WAIT; servers bind over them, so do we.
    candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        candidate.bind((HOST, port))
    except OSError:
        return False
    return True
