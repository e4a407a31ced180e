"""Unique names of processes, and whether the process of a name has ended."""

from __future__ import annotations

import os
import platform
import uuid
from pathlib import Path

_PARTS = 4


def process_name() -> str:
    """A unique, readable name of this process.

    Returns:
        The machine, the process id, the namespace of the id, and random digits.
    """
    return f"{platform.node()}:{os.getpid()}:{_namespace()}:{uuid.uuid4().hex[:8]}"


def has_ended(name: str) -> bool:
    """Whether the process of this name is known to have ended.

    This is known only for processes of the same machine and namespace. A process id that the system has reused counts
    as alive.
    """
    parts = name.rsplit(":", _PARTS - 1)
    if len(parts) != _PARTS or not parts[1].isdecimal():
        return False
    node, number, namespace, _ = parts
    if (node, namespace) != (platform.node(), _namespace()) or not namespace:
        return False
    if int(number) == os.getpid():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _namespace() -> str:
    """The namespace of process ids; empty if the system does not show it."""
    try:
        return str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:
        return ""
