"""Parts of an answer about fingerprints: those with a verdict, of some names, a page at a time."""

from __future__ import annotations

import base64
import binascii
import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from fastapi.exceptions import RequestValidationError

from api.models import FingerprintsAnswer, Outcome, TableFingerprint

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Selection:
    """What a caller wants of an answer.

    Attributes:
        verdict: Only items with this verdict.
        limit: Most items of a page; None is all.
        cursor: Where the page before ended.
    """

    verdict: Outcome | None = None
    limit: int | None = None
    cursor: str | None = None


def of_tables(whole: FingerprintsAnswer, wanted: Selection, pattern: str | None) -> FingerprintsAnswer:
    """The tables that are wanted, of each the partitions that are; the verdict stays that of the whole.

    Raises:
        RequestValidationError: the cursor is none of ours.
    """
    items = [item for item in whole.items if wanted.verdict in (None, item.verdict)]
    if pattern is not None:
        items = [item for item in items if fnmatch.fnmatchcase(item.table, pattern)]
    page, cursor = _page(items, wanted, lambda item: item.table)
    if wanted.verdict is not None:
        page = [of_partitions(item, Selection(wanted.verdict)) for item in page]
    return whole.model_copy(update={"items": page, "next_cursor": cursor})


def of_partitions(table: TableFingerprint, wanted: Selection) -> TableFingerprint:
    """The table with the partitions that are wanted; its verdict and sums stay those of the whole.

    Raises:
        RequestValidationError: the cursor is none of ours.
    """
    parts = [part for part in table.partitions if wanted.verdict in (None, part.verdict)]
    page, cursor = _page(parts, wanted, lambda part: part.partition)
    return table.model_copy(update={"partitions": page, "next_cursor": cursor})


def _page(items: Sequence[Item], wanted: Selection, name: Callable[[Item], str]) -> tuple[list[Item], str | None]:
    """Items behind the cursor, in the order of their names: one that comes or goes meanwhile shifts no page."""
    ordered = sorted(items, key=name)
    if wanted.cursor is not None:
        after = _decoded(wanted.cursor)
        ordered = [item for item in ordered if name(item) > after]
    if wanted.limit is None or len(ordered) <= wanted.limit:
        return ordered, None
    page = ordered[: wanted.limit]
    return page, base64.urlsafe_b64encode(name(page[-1]).encode()).decode()


def _decoded(cursor: str) -> str:
    try:
        return base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        problem = {"loc": ("query", "cursor"), "msg": "Give back a next_cursor as it was", "type": "value_error"}
        raise RequestValidationError([problem]) from None
