"""Sums up the tables for status and metrics, without reading their partitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from api.answers import without_rows
from api.fingerprints import NOT_JUDGED, doubts_of_emptiness
from api.ports import StateView
from datafingerprint.ports.state_values import JudgedTable, OutcomeCounts
from datafingerprint.verdict import Outcome, overall

_NOTHING = OutcomeCounts()


@dataclass(frozen=True, slots=True)
class TableSummary:
    """A table's verdict, its partitions by verdict, and its rows.

    Attributes:
        verdict: The worst of its partitions; of a table without any, whether it is empty on both sides.
        reason: Why a table without partitions does not match; empty otherwise.
        counts: Its partitions by verdict.
        source_rows: Rows in the source; None if unknown.
        lake_rows: Rows in the lake; None if unknown.
    """

    verdict: Outcome
    reason: str
    counts: OutcomeCounts
    source_rows: int | None
    lake_rows: int | None


def unproven(view: StateView) -> dict[str, TableSummary]:
    """Sums up the tables that no count of partitions shows, in the order of their names."""
    tables = dict(view.unproven_tables())
    aside = without_rows(view)
    unknown = [name for name in aside if name not in tables and not view.judged_tables(name)]
    tables |= dict.fromkeys(unknown, None)
    doubts = doubts_of_emptiness(view, {name: table for name, table in tables.items() if table is not None})
    return {name: _unproven(name, table, doubts, aside) for name, table in sorted(tables.items())}


def _unproven(
    name: str, table: JudgedTable | None, doubts: Mapping[str, str], aside: Mapping[str, str]
) -> TableSummary:
    if table is None:
        return TableSummary(Outcome.INCONCLUSIVE, aside.get(name, NOT_JUDGED), _NOTHING, None, None)
    if doubt := doubts.get(name):
        return TableSummary(Outcome.INCONCLUSIVE, doubt, _NOTHING, None, None)
    return TableSummary(Outcome.MATCH, "", _NOTHING, 0, 0)


def table_summaries(view: StateView) -> dict[str, TableSummary]:
    """Sums up every table that has a fingerprint to show, in the order of their names."""
    summaries = unproven(view)
    for name, table in view.judged_tables().items():
        if name not in summaries:
            verdict = overall(outcomes(table.counts), of_none=Outcome.INCONCLUSIVE)
            summaries[name] = TableSummary(verdict, "", table.counts, table.source_rows, table.lake_rows)
    return dict(sorted(summaries.items()))


def outcomes(counts: OutcomeCounts) -> set[Outcome]:
    """The verdicts that any partition has."""
    numbers = {
        Outcome.MATCH: counts.match,
        Outcome.MISMATCH: counts.mismatch,
        Outcome.INCONCLUSIVE: counts.inconclusive,
    }
    return {outcome for outcome, number in numbers.items() if number}
