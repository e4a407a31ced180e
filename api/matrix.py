"""The verdict of every table and partition in few bytes, read once a second for all callers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from pydantic import Field

from api.answers import known_tables
from api.fingerprints import NOT_JUDGED, worst_verdict
from api.models import Answer, Outcome, Reason, TableName
from api.ports import StateView, Store
from api.summaries import TableSummary, unproven
from datafingerprint.ledger import StoredVerdict
from datafingerprint.verdict import Outcome as Verdict
from datafingerprint.verdict import overall

FRESH_S = 1.0

LETTERS: Mapping[Verdict, str] = MappingProxyType(
    {Verdict.MATCH: "=", Verdict.MISMATCH: "x", Verdict.INCONCLUSIVE: "?"}
)
"""How one letter of `MatrixTable.verdicts` names a verdict."""


class MatrixTable(Answer):
    """One table and the verdicts of its partitions."""

    table: TableName
    verdict: Outcome = Field(description="The worst verdict of its partitions")
    reason: Reason = None
    rows: int | None = Field(description="Rows on the source at the compared epoch; null when not known")
    partitions: list[str] = Field(description="Names of its partitions, in order", examples=[["league_id=100"]])
    verdicts: str = Field(
        description="One letter for each partition: `=` match, `x` mismatch, `?` inconclusive", examples=["="]
    )


class MatrixAnswer(Answer):
    """Every table with the verdicts of its partitions."""

    verdict: Outcome = Field(description="The worst verdict of all tables")
    items: list[MatrixTable]


class Matrix:
    """The answer of `/v1/matrix`, shared by its callers.

    Args:
        store: The state store.
        clock: Monotonic seconds.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._answer: MatrixAnswer | None = None
        self._read_at = float("-inf")

    def answer(self, age_s_max: float = FRESH_S) -> MatrixAnswer:
        """The matrix, at most so many seconds old. Callers that come at once wait for one reading.

        Raises:
            DataFingerprintError: The store cannot be read.
        """
        with self._lock:
            if self._answer is None or self._clock() - self._read_at >= age_s_max:
                with self._store.reading() as view:
                    self._answer = matrix(view)
                self._read_at = self._clock()
            return self._answer


def matrix(view: StateView) -> MatrixAnswer:
    """The matrix of the stored state."""
    by_table: dict[str, list[StoredVerdict]] = {}
    for verdict in view.verdicts():
        by_table.setdefault(verdict.table, []).append(verdict)
    empty = unproven(view)
    items = [
        _table(name, by_table[name]) if name in by_table else _table_without_partitions(name, empty.get(name))
        for name in known_tables(view)
    ]
    worst = overall((Verdict(item.verdict) for item in items), of_none=Verdict.INCONCLUSIVE)
    return MatrixAnswer(verdict=worst.value, items=items)


def _table(name: str, parts: Sequence[StoredVerdict]) -> MatrixTable:
    outcome, reason = worst_verdict(parts)
    sources = [part.verdict.source for part in parts]
    return MatrixTable(
        table=name,
        verdict=outcome.value,
        reason=reason or None,
        rows=None if None in sources else sum(source.rows for source in sources if source is not None),
        partitions=[part.partition for part in parts],
        verdicts="".join(LETTERS[part.verdict.outcome] for part in parts),
    )


def _table_without_partitions(name: str, summary: TableSummary | None) -> MatrixTable:
    outcome, reason = (Verdict.INCONCLUSIVE, NOT_JUDGED) if summary is None else (summary.verdict, summary.reason)
    rows = None if summary is None else summary.source_rows
    return MatrixTable(table=name, verdict=outcome.value, reason=reason or None, rows=rows, partitions=[], verdicts="")
