"""The source's sketches in the state store: which there are, and steps folded into them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from datafingerprint.adapters.state.checksums import is_sound
from datafingerprint.adapters.state.reading import EpochTablesCache, Moment, in_batches
from datafingerprint.adapters.state.rows import sketch_row, sketch_step_row, upsert
from datafingerprint.adapters.state.sketch_reading import SketchReading, key_of, stored_sketch, with_steps
from datafingerprint.adapters.state.tables import SKETCH_STEPS, SKETCHES
from datafingerprint.ledger import NO_SKETCH, SketchStep, StoredSketch, SumKey

STEPS_AT_ONCE = 2_000
"""Steps that are folded in one transaction, which takes some 0.1 s."""

_KEY = [column.name for column in SKETCHES.primary_key.columns]


class StateSketches(SketchReading):
    """Implements the port `SketchStore` over the store's transactions."""

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[sa.Connection]: ...

    def adopt_sketches(self, keys: Sequence[SumKey]) -> Mapping[SumKey, str]:
        """See the port; each begins with the last epoch stored, at which the sum is the lake's."""
        adopted: dict[SumKey, StoredSketch] = {}
        with self._transaction() as connection:
            moment = Moment(connection, EpochTablesCache())
            epoch = moment.progress().epoch
            for some in in_batches(keys):
                adopted |= moment._lake_sketches(some)  # noqa: SLF001 - the same class
            steps = [SketchStep(epoch, key, sketch, starts=True) for key, sketch in adopted.items()]
            upsert(connection, SKETCH_STEPS, [sketch_step_row(step) for step in steps])
        return {key: sketch.form for key, sketch in adopted.items()}

    def fold_sketches(self, epoch: int) -> bool:
        """See the port; at most `STEPS_AT_ONCE` steps go in one call."""
        if not self.has_steps(epoch):
            return False
        doomed = sa.select(SKETCH_STEPS).where(SKETCH_STEPS.c.epoch <= epoch)
        query = doomed.order_by(SKETCH_STEPS.c.epoch).limit(STEPS_AT_ONCE)
        with self._transaction() as connection:
            steps = connection.execute(query).mappings().all()
            _fold(connection, steps)
        return len(steps) == STEPS_AT_ONCE


def _fold(connection: sa.Connection, steps: Sequence[Mapping[Any, Any]]) -> None:
    """Folds steps into their sketches.

    A sketch ends where one of its rows is damaged: no verdict needs it, and no service stops for it.
    """
    by_key = sorted(steps, key=lambda row: (row["table_name"], row["partition_name"], row["kafka_partition"]))
    grouped = {key: sorted(rows, key=lambda row: row["epoch"]) for key, rows in groupby(by_key, key_of)}
    known = _known(connection, [key for key, rows in grouped.items() if not any(row["starts"] for row in rows)])
    made = {key: with_steps(known.get(key, NO_SKETCH), rows) for key, rows in grouped.items()}
    upsert(connection, SKETCHES, [sketch_row(key, sketch) for key, sketch in made.items() if sketch != NO_SKETCH])
    _delete(connection, SKETCHES, _KEY, [_named(key) for key, sketch in made.items() if sketch == NO_SKETCH])
    _delete(
        connection, SKETCH_STEPS, [*_KEY, "epoch"], [{name: row[name] for name in (*_KEY, "epoch")} for row in steps]
    )


def _known(connection: sa.Connection, keys: Sequence[SumKey]) -> dict[SumKey, StoredSketch]:
    """The sketches of these sums as they were folded last, found by the primary key."""
    known: dict[SumKey, StoredSketch] = {}
    names = sa.tuple_(*(SKETCHES.c[name] for name in _KEY))
    for some in in_batches(keys):
        values = [(key.table, key.partition, key.kafka_partition) for key in some]
        rows = connection.execute(sa.select(SKETCHES).where(names.in_(values))).mappings()
        known |= {key_of(row): stored_sketch(row) for row in rows if is_sound(row)}
    return known


def _delete(connection: sa.Connection, table: sa.Table, names: list[str], rows: list[dict[str, Any]]) -> None:
    if rows:
        statement = sa.delete(table).where(*(table.c[name] == sa.bindparam(f"of_{name}") for name in names))
        connection.execute(statement, [{f"of_{name}": row[name] for name in names} for row in rows])


def _named(key: SumKey) -> dict[str, Any]:
    return dict(zip(_KEY, (key.table, key.partition, key.kafka_partition), strict=True))
