"""Operators' requests to capture: records of the requests topic, known by their offsets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ResyncRequest:
    """A request to re-snapshot a table or one of its partitions.

    Attributes:
        table: `schema.table`.
        partition: The partition's name, or None for the whole table.
        asked_at: Unix time in seconds.
    """

    table: str
    partition: str | None
    asked_at: float

    def to_json(self) -> dict[str, Any]:
        """Renders it for the requests topic."""
        return {"request": "reread", "table": self.table, "partition": self.partition, "asked_at": self.asked_at}

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> ResyncRequest:
        """What `to_json` wrote.

        Raises:
            ValueError: it is not a request of this kind.
        """
        if document.get("request") != "reread":
            raise ValueError(f"unknown request {document.get('request')!r}")
        return ResyncRequest(str(document["table"]), document["partition"], float(document["asked_at"]))


@dataclass(frozen=True, slots=True)
class PendingRequest:
    """A request on the topic; None if it cannot be read, which capture refuses."""

    offset: int
    request: ResyncRequest | None


@dataclass(frozen=True, slots=True)
class RequestStatus:
    """The state of the requests, a part of every epoch record.

    Attributes:
        next_offset: Requests before this offset were accepted or refused.
        refused: Offset to reason, of requests refused since the previous epoch.
    """

    next_offset: int = 0
    refused: Mapping[int, str] | None = None

    def to_json(self) -> list[Any]:
        """Renders it for epoch records."""
        return [self.next_offset, {str(offset): reason for offset, reason in (self.refused or {}).items()}]

    @staticmethod
    def from_json(document: list[Any] | None) -> RequestStatus:
        """Parses what `to_json` wrote; None in epochs from before requests existed."""
        if document is None:
            return RequestStatus()
        return RequestStatus(document[0], {int(offset): reason for offset, reason in document[1].items()} or None)
