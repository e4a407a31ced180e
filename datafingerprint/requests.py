"""What operators ask of a running capture: one record each on the requests topic, known by its offset there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Reread:
    """A table, or one partition of it, is to be read again from the source.

    Attributes:
        table: `schema.table`.
        partition: The partition's name, or None for the whole table.
        asked_at: Unix time in seconds.
    """

    table: str
    partition: str | None
    asked_at: float

    def to_json(self) -> dict[str, Any]:
        """As the requests topic holds it."""
        return {"request": "reread", "table": self.table, "partition": self.partition, "asked_at": self.asked_at}

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> Reread:
        """What `to_json` wrote.

        Raises:
            ValueError: it is another kind of request.
        """
        if document.get("request") != "reread":
            raise ValueError(f"no request is called {document.get('request')!r}")
        return Reread(str(document["table"]), document["partition"], float(document["asked_at"]))


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it lies on the topic; None for one that cannot be read, which is refused."""

    offset: int
    request: Reread | None


@dataclass(frozen=True, slots=True)
class Answers:
    """How far capture has come with the requests; part of every epoch record.

    Attributes:
        next_offset: Requests before it were taken up or refused.
        refused: Reasons of those refused since the epoch before, by offset.
    """

    next_offset: int = 0
    refused: Mapping[int, str] | None = None

    def to_json(self) -> list[Any]:
        """As epoch records hold it."""
        return [self.next_offset, {str(offset): reason for offset, reason in (self.refused or {}).items()}]

    @staticmethod
    def from_json(document: list[Any] | None) -> Answers:
        """What `to_json` wrote; epochs from before there were requests have none."""
        if document is None:
            return Answers()
        return Answers(document[0], {int(offset): reason for offset, reason in document[1].items()} or None)
