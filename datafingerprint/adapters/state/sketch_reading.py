"""Sketches as read from the state store: both sides of a partition at the lake's epoch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import sqlalchemy as sa

from datafingerprint.adapters.state.checksums import damage, is_sound
from datafingerprint.adapters.state.tables import (
    FILE_SKETCHES,
    FILE_SUMS,
    HISTORY,
    LAKE_TABLES,
    PROGRESS,
    RUNNING,
    SKETCH_STEPS,
    SKETCHES,
    read_sum,
)
from datafingerprint.fingerprint import ZERO, Fingerprint, total
from datafingerprint.ledger import NO_SKETCH, StoredSketch, SumKey
from datafingerprint.ports.sketches import SketchedPartition
from datafingerprint.schema import TableSchema
from datafingerprint.sketch import Sketch, zero
from datafingerprint.sketch_limits import PLACES

NONE_YET = "no sketch yet"

Rows = Sequence[Mapping[Any, Any]]


_Pair = tuple[str, str]
"""A table and one of its partitions."""


class _MissingError(Exception):
    """A side has no sketch; says why."""


class SketchReading(ABC):
    """The part of a view of the store that is about sketches."""

    @abstractmethod
    def _rows(self, query: sa.Select[Any]) -> Rows: ...

    @abstractmethod
    def _at_one_moment(self) -> AbstractContextManager[SketchReading]: ...

    @abstractmethod
    def definitions(self) -> Mapping[str, tuple[int, TableSchema]]:
        """The captured tables."""

    def sketched(self) -> Mapping[SumKey, str]:
        """See `SketchStore.sketched`."""
        names = ("table_name", "partition_name", "kafka_partition", "form")
        folded = sa.select(*(SKETCHES.c[name] for name in names))
        starts = sa.select(*(SKETCH_STEPS.c[name] for name in names)).where(SKETCH_STEPS.c.starts)
        with self._at_one_moment() as moment:
            forms = {key_of(row): row["form"] for row in moment._rows(folded)}  # noqa: SLF001 - the same class
            steps = moment._rows(starts.order_by(SKETCH_STEPS.c.epoch))  # noqa: SLF001 - as above
        forms |= {key_of(row): row["form"] for row in steps}
        return {key: form for key, form in forms.items() if form}

    def has_steps(self, epoch: int) -> bool:
        """Whether steps up to an epoch wait to be folded."""
        return bool(self._rows(sa.select(SKETCH_STEPS.c.epoch).where(SKETCH_STEPS.c.epoch <= epoch).limit(1)))

    def sketched_partition(self, table: str, partition: str) -> SketchedPartition | None:
        """Both sides of a partition as they were judged last; None where the table is not known."""
        with self._at_one_moment() as moment:
            return moment._sketched_partition(table, partition)  # noqa: SLF001 - the same class

    def _sketched_partition(self, table: str, partition: str) -> SketchedPartition | None:
        definition = self.definitions().get(table)
        if definition is None:
            return None
        (progress,) = self._rows(sa.select(PROGRESS))
        lake = self._rows(sa.select(LAKE_TABLES).where(LAKE_TABLES.c.table_name == table))
        # A fingerprinter that was killed has counted the files of a commit that it has not judged.
        epoch = max(progress["lake_epoch"], *(row["epoch"] for row in lake), 0)
        snapshot_id = lake[0]["snapshot_id"] if lake else None
        if not lake:
            return SketchedPartition(definition[1], epoch, None, ZERO, ZERO, "", None, "the lake has not been read yet")
        source, files = self._kafka_sums(table, partition, epoch), self._file_sums(table, partition)
        sums = total(source.values()), total(files.values())
        try:
            form, difference = _difference(
                self._source_side(table, partition, epoch, source), self._lake_side(table, partition, files)
            )
        except _MissingError as error:
            return SketchedPartition(definition[1], epoch, snapshot_id, *sums, "", None, str(error))
        return SketchedPartition(definition[1], epoch, snapshot_id, *sums, form, difference, "")

    def _lake_sketches(self, keys: Sequence[SumKey]) -> dict[SumKey, StoredSketch]:
        """Adds up the sketches of files for those running sums that are the lake's.

        Takes as many queries for one sum as for all. Each reads only rows of these tables.
        """
        running: dict[_Pair, dict[SumKey, Fingerprint]] = {}
        for row in self._rows(sa.select(RUNNING).where(*_of_any(RUNNING, keys))):
            running.setdefault(_pair(row), {})[key_of(row)] = read_sum(row)
        files: dict[_Pair, dict[str, Fingerprint]] = {}
        for row in self._rows(sa.select(FILE_SUMS).where(*_of_any(FILE_SUMS, keys))):
            files.setdefault(_pair(row), {})[row["path"]] = read_sum(row)
        equal = {
            key: {path for path, value in files.get((key.table, key.partition), {}).items() if value != ZERO}
            for key in keys
            if _is_equal(key, running.get((key.table, key.partition), {}), files.get((key.table, key.partition), {}))
        }
        sketches: dict[_Pair, dict[str, Mapping[Any, Any]]] = {}
        if equal:
            for row in self._rows(sa.select(FILE_SKETCHES).where(*_of_any(FILE_SKETCHES, list(equal)))):
                sketches.setdefault(_pair(row), {})[row["path"]] = row
        added = {key: _added(sketches.get((key.table, key.partition), {}), paths) for key, paths in equal.items()}
        return {key: sketch for key, sketch in added.items() if sketch != NO_SKETCH}

    def _kafka_sums(self, table: str, partition: str, epoch: int) -> dict[int, Fingerprint]:
        """By Kafka partition, the sum at an epoch."""
        latest = (
            sa.select(HISTORY.c.kafka_partition, sa.func.max(HISTORY.c.epoch).label("epoch"))
            .where(HISTORY.c.table_name == table, HISTORY.c.partition_name == partition, HISTORY.c.epoch <= epoch)
            .group_by(HISTORY.c.kafka_partition)
            .subquery()
        )
        same = (HISTORY.c.kafka_partition == latest.c.kafka_partition) & (HISTORY.c.epoch == latest.c.epoch)
        query = (
            sa.select(HISTORY)
            .select_from(HISTORY.join(latest, same))
            .where(HISTORY.c.table_name == table, HISTORY.c.partition_name == partition)
        )
        return {row["kafka_partition"]: read_sum(row) for row in self._rows(query)}

    def _file_sums(self, table: str, partition: str) -> dict[str, Fingerprint]:
        query = sa.select(FILE_SUMS).where(FILE_SUMS.c.table_name == table, FILE_SUMS.c.partition_name == partition)
        return {row["path"]: read_sum(row) for row in self._rows(query)}

    def _source_side(
        self, table: str, partition: str, epoch: int, sums: Mapping[int, Fingerprint]
    ) -> list[StoredSketch]:
        """The source's sketches at an epoch, of each Kafka partition with rows."""

        def of_partition(of: sa.Table) -> list[sa.ColumnElement[bool]]:
            return [of.c.table_name == table, of.c.partition_name == partition]

        base = {key_of(row): stored_sketch(row) for row in self._sound_sketches(SKETCHES, *of_partition(SKETCHES))}
        later = self._sound_sketches(SKETCH_STEPS, *of_partition(SKETCH_STEPS), SKETCH_STEPS.c.epoch <= epoch)
        steps: dict[SumKey, list[Mapping[Any, Any]]] = {}
        for row in sorted(later, key=lambda row: row["epoch"]):
            steps.setdefault(key_of(row), []).append(row)
        sketches = []
        for number, value in sums.items():
            if value == ZERO:
                continue
            key = SumKey(table, partition, number)
            sketch = with_steps(base.get(key, NO_SKETCH), steps.get(key, []))
            if sketch == NO_SKETCH:
                raise _MissingError(f"{NONE_YET} of the source: it has one once the table is read again")
            sketches.append(sketch)
        return sketches

    def _lake_side(self, table: str, partition: str, sums: Mapping[str, Fingerprint]) -> list[StoredSketch]:
        """The sketches of the files with rows of a partition."""
        same = FILE_SKETCHES.c.table_name == table, FILE_SKETCHES.c.partition_name == partition
        by_path = {row["path"]: stored_sketch(row) for row in self._sound_sketches(FILE_SKETCHES, *same)}
        wanted = [path for path, value in sums.items() if value != ZERO]
        missing = [path for path in wanted if path not in by_path]
        if missing:
            raise _MissingError(
                f"{NONE_YET} of {len(missing)} of {len(wanted)} files: they have one once they are read again"
            )
        return [by_path[path] for path in wanted]

    def _sound_sketches(self, table: sa.Table, *where: sa.ColumnElement[bool]) -> Rows:
        rows = self._rows(sa.select(table).where(*where))
        if not all(map(is_sound, rows)):
            raise _MissingError(damage(table))
        return rows


def key_of(row: Mapping[Any, Any]) -> SumKey:
    """The running sum that a row belongs to."""
    return SumKey(row["table_name"], row["partition_name"], row["kafka_partition"])


def stored_sketch(row: Mapping[Any, Any]) -> StoredSketch:
    """The sketch in a row."""
    return StoredSketch(row["form"], bytes(row["cells"]))


def with_steps(sketch: StoredSketch, steps: Iterable[Mapping[Any, Any]]) -> StoredSketch:
    """A sketch after steps in the order of their epochs; none if it ended or one is damaged."""
    cells: Sketch | None = None
    for row in steps:
        change = stored_sketch(row)
        if not is_sound(row):
            sketch, cells = NO_SKETCH, None
        elif row["starts"]:
            sketch, cells = change, None
        elif sketch == NO_SKETCH or sketch.form != change.form:
            sketch, cells = NO_SKETCH, None
        else:
            before = cells if cells is not None else Sketch.from_bytes(sketch.cells)
            cells = before + Sketch.from_bytes(change.cells)
    return sketch if cells is None else StoredSketch(sketch.form, cells.to_bytes())


def _pair(row: Mapping[Any, Any]) -> _Pair:
    return row["table_name"], row["partition_name"]


def _of_any(table: sa.Table, keys: Sequence[SumKey]) -> list[sa.ColumnElement[bool]]:
    """Rows of these tables and of partitions with these names."""
    tables, partitions = sorted({key.table for key in keys}), sorted({key.partition for key in keys})
    return [table.c.table_name.in_(tables), table.c.partition_name.in_(partitions)]


def _is_equal(key: SumKey, running: Mapping[SumKey, Fingerprint], files: Mapping[str, Fingerprint]) -> bool:
    """Whether a running sum is its whole partition's, and that of the files."""
    others = [value for other, value in running.items() if other != key]
    return not any(value != ZERO for value in others) and running.get(key, ZERO) == total(files.values())


def _added(rows: Mapping[str, Mapping[Any, Any]], paths: Iterable[str]) -> StoredSketch:
    """The sum of the sketches of files; none where a file has none, or a damaged one."""
    wanted = [rows.get(path) for path in paths]
    sound = [stored_sketch(row) for row in wanted if row is not None and is_sound(row)]
    if len(sound) != len(wanted):
        return NO_SKETCH
    try:
        form, negative = _difference([], sound)
    except _MissingError:
        return NO_SKETCH
    return StoredSketch(form, (-negative).to_bytes()) if form else NO_SKETCH


def _difference(source: Sequence[StoredSketch], lake: Sequence[StoredSketch]) -> tuple[str, Sketch]:
    """The form of all these sketches, and the source's less the lake's."""
    forms = {sketch.form for sketch in (*source, *lake)}
    if len(forms) > 1:
        raise _MissingError(f"{NONE_YET} of one form on both sides: the table's key or number of cells was changed")
    if not forms:
        return "", zero(PLACES)
    parts = [Sketch.from_bytes(sketch.cells) for sketch in source]
    parts += [-Sketch.from_bytes(sketch.cells) for sketch in lake]
    difference = parts[0]
    for part in parts[1:]:
        difference += part
    return forms.pop(), difference
