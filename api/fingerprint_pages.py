"""Selects tables for `/v1/fingerprints` by their summaries, then reads their partitions."""

from __future__ import annotations

import fnmatch

from api.fingerprints import table_fingerprints
from api.models import FingerprintsAnswer
from api.ports import StateView
from api.selection import Selection, page_of, select_partitions
from api.summaries import table_summaries
from datafingerprint.verdict import Outcome, overall

ALL = Selection()


def fingerprints(view: StateView, wanted: Selection = ALL, pattern: str | None = None) -> FingerprintsAnswer:
    """Answers with the wanted tables, of those that are captured or were ever judged.

    The verdict is that of all tables. Only the partitions of the answer's tables are read.

    Args:
        view: The stored state.
        wanted: The verdict of tables and partitions, and the page.
        pattern: Only tables of this name, such as `ootp.*`.

    Raises:
        RequestValidationError: The cursor was not made by this service.
    """
    summaries = table_summaries(view)
    names = [
        name
        for name, summary in summaries.items()
        if wanted.verdict in (None, summary.verdict.value) and (pattern is None or fnmatch.fnmatchcase(name, pattern))
    ]
    page, cursor = page_of(names, wanted, str)
    items = table_fingerprints(view, page if len(page) < len(summaries) else None)
    if wanted.verdict is not None:
        items = [select_partitions(item, Selection(wanted.verdict)) for item in items]
    return FingerprintsAnswer(
        verdict=overall((summary.verdict for summary in summaries.values()), of_none=Outcome.INCONCLUSIVE).value,
        epoch=view.progress().lake_epoch or None,
        items=items,
        next_cursor=cursor,
    )
