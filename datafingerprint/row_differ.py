"""Names the rows that differ: sketches say which, and only these rows are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Protocol

from datafingerprint.captured import not_captured_error
from datafingerprint.differences import (
    DiffState,
    PartitionDiff,
    RowDifference,
    SideRows,
    Wanted,
    by_key,
    explained,
    with_likenesses,
)
from datafingerprint.errors import ConfigError, DataFingerprintError
from datafingerprint.ledger import StoredVerdict
from datafingerprint.partitions import partitioning, required_values
from datafingerprint.ports.sketches import SketchedPartition
from datafingerprint.schema import TableSchema
from datafingerprint.sketch import Overflow, peel
from datafingerprint.sketch_keys import SketchForm
from datafingerprint.verdict import Outcome

OVERFLOW = "overflow: more differences than the sketch holds"


class SketchView(Protocol):
    """The state store at one moment."""

    def definitions(self) -> Mapping[str, tuple[int, TableSchema]]:
        """The captured tables."""

    def verdicts(self, table: str | None = None) -> Sequence[StoredVerdict]:
        """The present verdicts."""

    def sketched_partition(self, table: str, partition: str) -> SketchedPartition | None:
        """Both sides of a partition as they were judged last."""


@dataclass(frozen=True)
class RowDiffer:
    """Names the rows that differ.

    Attributes:
        reading: Opens the state store at one moment.
        lake: Reads the wanted rows of a snapshot of the lake.
        source: Reads the wanted rows of the source, at a position that it states.
        redacted: By table, the columns whose values are not shown.
    """

    reading: Callable[[], AbstractContextManager[SketchView]]
    lake: Callable[[Wanted, int], SideRows]
    source: Callable[[Wanted], SideRows]
    redacted: Callable[[str], Sequence[str]] = lambda _: ()

    def diff(self, table: str | None, partition: str | None, limit: int) -> list[PartitionDiff]:
        """What differs in a partition, or in all partitions that do not match.

        Args:
            table: One table; None for all.
            partition: One partition of it; None for all.
            limit: The most rows that are named, of all partitions together.

        Raises:
            ConfigError: no such table is captured, or it has no partition of such a name.
            Unavailable: the state store is away.
            StateError: it is damaged, or of another version.
        """
        diffs = []
        for verdict in self._chosen(table, partition):
            item = self._partition(verdict, limit)
            limit -= len(item.rows)
            diffs.append(item)
        return diffs

    def _chosen(self, table: str | None, partition: str | None) -> list[StoredVerdict]:
        """The verdicts on the requested partition, or on all partitions that do not match."""
        with self.reading() as view:
            definitions, verdicts = view.definitions(), view.verdicts(table)
        if table is not None and table not in definitions:
            raise not_captured_error(table, definitions)
        if table is None or partition is None:
            return [item for item in verdicts if item.verdict.outcome is not Outcome.MATCH]
        required_values(definitions[table][1], partitioning(definitions[table][1]), partition)
        chosen = [item for item in verdicts if item.partition == partition]
        if not chosen:
            raise ConfigError(
                f"{table} has no rows in a partition {partition}", remedy="see datafingerprint status for those it has"
            )
        return chosen

    def _partition(self, verdict: StoredVerdict, limit: int) -> PartitionDiff:
        blank = PartitionDiff(verdict.table, verdict.partition, DiffState.UNKNOWN, verdict.epoch)
        if verdict.verdict.outcome is Outcome.INCONCLUSIVE:
            return replace(blank, reason=verdict.verdict.reason)
        with self.reading() as view:
            sides = view.sketched_partition(verdict.table, verdict.partition)
        if sides is None:
            return replace(blank, reason="the table is no longer captured")
        if sides.source == sides.lake:
            return replace(blank, state=DiffState.SAME, epoch=sides.epoch)
        return self._differing(replace(blank, state=DiffState.DIFFERS, epoch=sides.epoch), sides, limit)

    def _differing(self, blank: PartitionDiff, sides: SketchedPartition, limit: int) -> PartitionDiff:
        if sides.difference is None:
            return replace(blank, reason=f"unavailable: {sides.unavailable}")
        form = SketchForm.of(sides.definition, len(sides.difference))
        if form.text != sides.form:
            return replace(blank, reason="unavailable: no sketch yet of the table's present key")
        versions = peel(sides.difference, sides.source - sides.lake)
        if isinstance(versions, Overflow):
            return replace(blank, reason=OVERFLOW)
        differences = by_key(versions)
        shown = differences[: max(0, limit)]

        def wanted(keys: Iterable[int]) -> Wanted:
            return Wanted(sides.definition, blank.partition, form, frozenset(keys))

        everywhere = wanted(item.key for item in shown)
        lake = self._lake_rows(everywhere, sides.snapshot_id)
        source = self._source_rows(wanted(item.key for item in shown if item.source))
        rows: Sequence[RowDifference] = [explained(item, everywhere, source, lake) for item in shown]
        if not sides.definition.key:
            rows = with_likenesses(rows, sides.definition)
        hidden = frozenset(self.redacted(blank.table))
        kept = tuple(item.redacted(hidden) for item in rows)
        return replace(blank, rows=kept, count=len(differences), position=source.position)

    def _lake_rows(self, wanted: Wanted, snapshot_id: int | None) -> SideRows:
        if not wanted.keys or snapshot_id is None:
            return SideRows()
        try:
            return self.lake(wanted, snapshot_id)
        except DataFingerprintError as error:
            return SideRows(unread=str(error))

    def _source_rows(self, wanted: Wanted) -> SideRows:
        if not wanted.keys:
            return SideRows()
        try:
            return self.source(wanted)
        except DataFingerprintError as error:
            return SideRows(unread=str(error))


def overall(diffs: Sequence[PartitionDiff]) -> DiffState:
    """The state of all partitions together: a difference counts most, then an unknown state."""
    state = {item.state for item in diffs}
    return next((item for item in (DiffState.DIFFERS, DiffState.UNKNOWN) if item in state), DiffState.SAME)
