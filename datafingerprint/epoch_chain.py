"""The chain of epoch records: each carries a digest of the record before it.

Numbers alone do not show that a broker has lost epochs: capture publishes new ones with the same numbers.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

from datafingerprint.errors import WireError
from datafingerprint.recovery import START_OVER

_DIGEST_BYTES = 16


class EpochMark(NamedTuple):
    """Which epoch a reader has reached.

    Attributes:
        stream_id: The stream.
        number: The epoch's number.
        digest: `record_digest` of its record; empty if the record is of a version without a chain.
    """

    stream_id: str
    number: int
    digest: str = ""


@dataclass(frozen=True, slots=True)
class KnownEpoch:
    """An epoch that something outside the epochs topic has reached.

    Attributes:
        what: What has reached it, for errors.
        mark: The epoch.
        next_offset: The offset after its record in the epochs topic.
    """

    what: str
    mark: EpochMark
    next_offset: int


def record_digest(payload: bytes) -> str:
    """Digests a record of the epochs topic: the first half of its SHA-256 in hexadecimal digits."""
    return hashlib.sha256(payload).digest()[:_DIGEST_BYTES].hex()


CHAIN_START = record_digest(b"")
"""The digest that the first epoch of a stream carries."""


def require_link(mark: EpochMark, previous: str, number: int) -> None:
    """Checks that an epoch continues the one that was read.

    A record without a digest is accepted after records without one.

    Args:
        mark: The epoch that was read.
        previous: The digest that the following record carries; empty if it carries none.
        number: The number of the following epoch.

    Raises:
        WireError: the record before is not the one that was read.
    """
    if mark.digest and previous != mark.digest:
        raise lost_epoch(mark, f"epoch {number} there follows another record")


def lost_epoch(mark: EpochMark, state: str) -> WireError:
    """The error for an epoch that was read, and that the epochs topic no longer holds."""
    return WireError(
        f"the broker has lost an acknowledged epoch: epoch {mark.number} of stream {mark.stream_id} was read, {state}",
        where="the epochs topic",
        remedy=START_OVER,
    )
