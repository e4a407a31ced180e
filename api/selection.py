"""Selects parts of an answer about fingerprints: by verdict, by name, a page at a time."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from fastapi.exceptions import RequestValidationError

from api.models import Outcome, TableFingerprint

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Selection:
    """The part of an answer that a caller wants.

    Attributes:
        verdict: Only items with this verdict.
        limit: Most items of a page. None is all.
        cursor: The end of the page before.
    """

    verdict: Outcome | None = None
    limit: int | None = None
    cursor: str | None = None


def select_partitions(table: TableFingerprint, wanted: Selection) -> TableFingerprint:
    """Keeps the wanted partitions. The verdict and the sums stay those of all partitions.

    Raises:
        RequestValidationError: The cursor was not made by this service.
    """
    parts = [part for part in table.partitions if wanted.verdict in (None, part.verdict)]
    page, cursor = page_of(parts, wanted, lambda part: part.partition)
    return table.model_copy(update={"partitions": page, "next_cursor": cursor})


def page_of(items: Sequence[Item], wanted: Selection, name: Callable[[Item], str]) -> tuple[list[Item], str | None]:
    """A page of the items after the cursor. Ordered by name, so that new items shift no page."""
    ordered = sorted(items, key=name)
    if wanted.cursor is not None:
        after = _decode(wanted.cursor)
        ordered = [item for item in ordered if name(item) > after]
    if wanted.limit is None or len(ordered) <= wanted.limit:
        return ordered, None
    page = ordered[: wanted.limit]
    return page, base64.urlsafe_b64encode(name(page[-1]).encode()).decode()


def _decode(cursor: str) -> str:
    try:
        return base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        problem = {"loc": ("query", "cursor"), "msg": "Give back a next_cursor unchanged", "type": "value_error"}
        raise RequestValidationError([problem]) from None
