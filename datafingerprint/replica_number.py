"""The replication id of capture on the source, derived from its stream."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

NUMBER_MIN = 2**31
NUMBER_MAX = 2**32 - 2
"""The upper half of the valid ids: people and tools give small ids to replicas."""

_LOCK = "dfp.replica"
_DIGITS = 20


def derived_number(stream_id: str, taken: Collection[int] = ()) -> int:
    """The id of a stream: always the same, unless the server has it in use.

    Args:
        stream_id: The stream; two environments never have the same.
        taken: The ids of the server and of its other replicas.
    """
    span = NUMBER_MAX - NUMBER_MIN + 1
    start = int.from_bytes(hashlib.sha256(stream_id.encode()).digest()[:8], "big")
    return next(number for step in range(span) if (number := NUMBER_MIN + (start + step) % span) not in taken)


def number_lock(number: int) -> str:
    """The server's named lock that the user of an id holds."""
    return f"{_LOCK}.{number}"


def stream_lock(number: int, stream_id: str) -> str:
    """A second lock of the same connection, by which a stream recognises its own."""
    digest = hashlib.sha256(stream_id.encode()).hexdigest()[:_DIGITS]
    return f"{number_lock(number)}.{digest}"
