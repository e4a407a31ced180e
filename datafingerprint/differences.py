"""Which rows of a partition differ, with the rows themselves on both sides."""

from __future__ import annotations

import datetime as dt
import decimal
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import numpy as np
import pyarrow as pa

from datafingerprint.digests import identities
from datafingerprint.epochs import SourcePosition
from datafingerprint.schema import TableSchema
from datafingerprint.sketch import RowVersion
from datafingerprint.sketch_keys import SketchForm, halves_of

REDACTED = "(redacted)"
LIKE_MISSING = "a row that is missing in the lake is alike but for"
LIKE_EXTRA = "a row that the lake has too many is alike but for"

Row = Mapping[str, Any]


class DifferenceKind(StrEnum):
    """How a row differs."""

    MISSING = "missing_in_lake"
    """The source has it, the lake does not; or the lake has it less often."""
    EXTRA = "extra_in_lake"
    """The lake has it, the source does not."""
    CHANGED = "changed"
    """Both have a row with this key, with different values."""
    DUPLICATED = "duplicated"
    """Both have it, the lake more often."""


class DiffState(StrEnum):
    """What can be said of a partition."""

    SAME = "same"
    DIFFERS = "differs"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class KeyDifference:
    """The row versions of one key that one side has more often than the other.

    Attributes:
        key: As the sketch has it.
        source: Digest to how many more of it the source has.
        lake: Digest to how many more of it the lake has.
    """

    key: int
    source: Mapping[int, int] = field(default_factory=dict)
    lake: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FoundRow:
    """A row that was read on one side.

    Attributes:
        key: Its key as sketches have it.
        digest: Its digest as sketches have it.
        values: Its values by column.
        path: Its data file; empty for the source.
    """

    key: int
    digest: int
    values: Row
    path: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The rows to look for.

    Attributes:
        table: The table.
        partition: The partition that they are in.
        form: How keys were packed.
        keys: Their keys.
    """

    table: TableSchema
    partition: str
    form: SketchForm
    keys: frozenset[int]

    @property
    def values(self) -> list[Row] | None:
        """The values of all the keys' columns; None where a key is a digest, which names no values."""
        matches = [self.form.values(key) for key in sorted(self.keys)]
        return None if None in matches else [item for item in matches if item is not None]

    def matching(self, rows: pa.Table, path: str = "") -> list[FoundRow]:
        """Those of some rows, in the table's Arrow schema, that are wanted."""
        if not rows.num_rows:
            return []
        hi, lo = halves_of(identities(rows, self.table.columns))
        key_hi, key_lo = self.form.keys(rows, np.stack([hi, lo], axis=1).reshape(-1))
        low_halves = np.array([key % (1 << 64) for key in self.keys], np.uint64)
        matches = []
        for place in np.flatnonzero(np.isin(key_lo, low_halves)).tolist():
            key = int(key_hi[place]) << 64 | int(key_lo[place])
            if key in self.keys:
                values = rows.slice(place, 1).to_pylist()[0]
                matches.append(FoundRow(key, int(hi[place]) << 64 | int(lo[place]), values, path))
        return matches


@dataclass(frozen=True, slots=True)
class SideRows:
    """The wanted rows of one side.

    Attributes:
        rows: Those that are there.
        position: The source's position that they were read at; None for the lake.
        unread: Why they could not be read; empty otherwise.
    """

    rows: Sequence[FoundRow] = ()
    position: SourcePosition | None = None
    unread: str = ""


@dataclass(frozen=True, slots=True)
class RowDifference:
    """One row that differs.

    Attributes:
        kind: How.
        key: The values of its key's columns; None where the table has no key, or the row could not be read.
        key_id: The key as the sketch has it, 32 hexadecimal digits.
        copies: How many more of it the lake has; negative where it has fewer, 0 where its values differ.
        columns: The columns that differ, of a changed row that was read on both sides; without a key, from the row
            of the other side that is most like it.
        source: The source's row; None where it has none, or could not be read.
        lake: The lake's row, in the same way.
        files: The data files with the row.
        note: What a reader must know of it.
    """

    kind: DifferenceKind
    key: Row | None
    key_id: str
    copies: int
    columns: tuple[str, ...] = ()
    source: Row | None = None
    lake: Row | None = None
    files: tuple[str, ...] = ()
    note: str = ""

    def redacted(self, columns: frozenset[str]) -> RowDifference:
        """The difference without the values of some columns."""
        if not columns:
            return self
        key, source, lake = (_redacted(row, columns) for row in (self.key, self.source, self.lake))
        # The packed key is the value itself, so it is not shown either.
        key_id = REDACTED if columns & set(self.key or ()) else self.key_id
        return replace(self, key=key, key_id=key_id, source=source, lake=lake)

    def to_json(self) -> dict[str, Any]:
        """The difference as JSON has it.

        Times, bytes (in hex) and numbers that are not whole are texts.
        """
        return {
            "kind": self.kind.value,
            "key": _plain(self.key),
            "key_id": self.key_id,
            "copies": self.copies,
            "columns": list(self.columns),
            "source": _plain(self.source),
            "lake": _plain(self.lake),
            "files": list(self.files),
            "note": self.note or None,
        }


@dataclass(frozen=True, slots=True)
class PartitionDiff:
    """What differs in a partition.

    Attributes:
        table: The table.
        partition: The partition.
        state: Whether rows differ, as far as is known.
        epoch: The epoch at which both sides were compared.
        reason: Why rows cannot be named; empty where they are.
        rows: The rows that differ, or the first of them.
        count: How many keys differ.
        position: The source's position that its rows were read at; None where none were.
    """

    table: str
    partition: str
    state: DiffState
    epoch: int
    reason: str = ""
    rows: tuple[RowDifference, ...] = ()
    count: int = 0
    position: SourcePosition | None = None

    def to_json(self) -> dict[str, Any]:
        """The partition as JSON has it."""
        return {
            "table": self.table,
            "partition": self.partition,
            "state": self.state.value,
            "epoch": self.epoch,
            "reason": self.reason or None,
            "differing": self.count,
            "source_position": None if self.position is None else self.position.to_json(),
            "rows": [item.to_json() for item in self.rows],
        }


def by_key(versions: Counter[RowVersion]) -> list[KeyDifference]:
    """Row versions of a difference, by their keys, in the order of these."""
    source: dict[int, dict[int, int]] = {}
    lake: dict[int, dict[int, int]] = {}
    for version, times in versions.items():
        side = source if times > 0 else lake
        side.setdefault(version.key, {})[version.digest] = abs(times)
    keys = sorted(source.keys() | lake.keys())
    return [KeyDifference(key, source.get(key, {}), lake.get(key, {})) for key in keys]


def explained(difference: KeyDifference, wanted: Wanted, source: SideRows, lake: SideRows) -> RowDifference:
    """A difference with the rows that were read.

    Args:
        difference: What differs.
        wanted: What was looked for.
        source: The source's rows.
        lake: The lake's rows.
    """
    here = [row for row in lake.rows if row.key == difference.key]
    there = [row for row in source.rows if row.key == difference.key]
    lake_row = next((row for row in here if row.digest in difference.lake), None)
    source_row = next((row for row in there if row.digest in difference.source), None)
    kind = _kind(difference, len(here))
    columns: tuple[str, ...] = ()
    if kind is DifferenceKind.CHANGED and source_row and lake_row:
        pairs = ((item.name, source_row.values[item.name], lake_row.values[item.name]) for item in wanted.table.columns)
        columns = tuple(name for name, left, right in pairs if left != right)
    return RowDifference(
        kind,
        _key(difference.key, wanted, source_row or lake_row),
        f"{difference.key:032x}",
        sum(difference.lake.values()) - sum(difference.source.values()),
        columns,
        source_row.values if source_row else None,
        lake_row.values if lake_row else None,
        tuple(sorted({row.path for row in here if row.path})),
        _note(difference, (source, lake), there, is_read=(source_row is not None, lake_row is not None)),
    )


def with_likenesses(rows: Sequence[RowDifference], table: TableSchema) -> tuple[RowDifference, ...]:
    """Adds the columns in which a missing and an extra row of a table without a key differ.

    A changed row is two row versions there. The two that share most values, more than half, are taken for one row.
    """
    matches = list(rows)
    missing = [at for at, item in enumerate(matches) if item.kind is DifferenceKind.MISSING and item.source]
    for at, extra in enumerate(matches):
        if extra.kind is not DifferenceKind.EXTRA or not extra.lake or not missing:
            continue
        columns = {other: _unlike(matches[other].source or {}, extra.lake) for other in missing}
        nearest = min(missing, key=lambda other: len(columns[other]))
        if 2 * len(columns[nearest]) < len(table.columns):
            missing.remove(nearest)
            for place, alike in ((at, LIKE_MISSING), (nearest, LIKE_EXTRA)):
                note = _joined(matches[place].note, f"{alike} {', '.join(columns[nearest])}")
                matches[place] = replace(matches[place], columns=columns[nearest], note=note)
    return tuple(matches)


def _unlike(item: Row, other: Row) -> tuple[str, ...]:
    return tuple(name for name, value in item.items() if value != other.get(name))


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


def _kind(difference: KeyDifference, in_lake: int) -> DifferenceKind:
    if difference.source and difference.lake:
        return DifferenceKind.CHANGED
    if difference.source:
        return DifferenceKind.MISSING
    # What the lake has of this key besides the surplus is what the source has too.
    return DifferenceKind.DUPLICATED if in_lake > sum(difference.lake.values()) else DifferenceKind.EXTRA


def _key(key: int, wanted: Wanted, row: FoundRow | None) -> Row | None:
    if not wanted.table.key:
        return None
    values = wanted.form.values(key)
    if values is not None or row is None:
        return values
    return {name: row.values[name] for name in wanted.table.key}


def _note(
    difference: KeyDifference, sides: tuple[SideRows, SideRows], there: Sequence[FoundRow], is_read: tuple[bool, bool]
) -> str:
    """What a reader must know of rows that one side has too often and that were not read there."""
    (source, lake), (is_source_read, is_lake_read) = sides, is_read
    notes = []
    if difference.lake and lake.unread:
        notes.append(f"the lake's row was not read: {lake.unread}")
    elif difference.lake and not is_lake_read:
        notes.append("the lake's row was not found in the files of this partition")
    if difference.source and source.unread:
        notes.append(f"the source's row was not read: {source.unread}")
    elif difference.source and not is_source_read:
        change = "has changed" if there else "is no longer there, or has changed"
        notes.append(f"the source's row {change} since this epoch")
    return _joined(*notes)


def _redacted(row: Row | None, hidden: frozenset[str]) -> Row | None:
    if row is None:
        return None
    return {name: REDACTED if name in hidden and value is not None else value for name, value in row.items()}


def _plain(row: Row | None) -> dict[str, Any] | None:
    return None if row is None else {name: plain(value) for name, value in row.items()}


def plain(value: Any) -> Any:  # noqa: ANN401 - a value of any column
    """A value as JSON has it."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, decimal.Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, dt.date | dt.time) else value
