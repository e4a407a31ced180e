"""Gives verdicts on lake tables from the stored sums of both sides."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from datafingerprint.cascades import Suspicion
from datafingerprint.epochs import Epoch
from datafingerprint.ledger import Progress, TableSums, TableVerdicts
from datafingerprint.ports.state import StateStore
from datafingerprint.schema import TableSchema
from datafingerprint.verdict import Outcome, Verdict, judge_table
from services.fingerprinter.lake_counter import LakeCounter

JUDGE_ALL_S = 600.0
"""Seconds after which all tables are judged again from what is stored, even if nothing is known to have changed."""

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class _Basis:
    """What a table's verdicts follow from, other than the sums.

    Attributes:
        inconclusive: Why the table cannot be judged, or empty.
        damaged: What is wrong with the whole lake table, or empty.
        suspicion: Why the table may have changed without a binlog event, or None.
        is_set_aside: Whether the table is set aside.
    """

    inconclusive: str
    damaged: str
    suspicion: Suspicion | None
    is_set_aside: bool


class Judge:
    """Keeps the stored verdicts equal to what the stored sums say.

    After a lake commit it judges only tables whose sums or basis have changed since the last one. The verdicts on the
    others hold at the new epoch too. Every `JUDGE_ALL_S` it judges all of them.
    """

    def __init__(
        self, store: StateStore, counter: LakeCounter, log: structlog.stdlib.BoundLogger, clock: Clock
    ) -> None:
        self._store = store
        self._counter = counter
        self._log = log
        self._clock = clock
        self._bases: dict[str, _Basis] = {}
        self._epoch: int | None = None
        self._judged_all_at = 0.0
        self._undamaged: dict[str, Mapping[str, Verdict]] = {}
        self._mismatches: dict[str, set[str]] = {}
        for verdict in store.verdicts(outcome=Outcome.MISMATCH):
            self._mismatches.setdefault(verdict.table, set()).add(verdict.partition)

    def forget(self, tables: Iterable[str]) -> None:
        """Drops tables that are no longer compared."""
        for name in tables:
            self._bases.pop(name, None)
            self._undamaged.pop(name, None)
            self._mismatches.pop(name, None)

    def judge_commit(self, progress: Progress, tables: Mapping[str, TableSchema]) -> None:
        """Judges all tables at the epoch of a lake commit."""
        bases = self._bases_of(progress.lake_epoch, tables, tables)
        changed = self._counter.take_changed()
        if self._is_full_due:
            names = list(tables)
            self._judged_all_at = self._clock()
        else:
            changed |= self._store.changed_tables(self._epoch or 0, progress.lake_epoch)
            names = [name for name in tables if name in changed or self._bases.get(name) != bases[name]]
        judged = set(names)
        self._save(progress, names, bases, [name for name in tables if name not in judged])
        self._epoch = progress.lake_epoch

    @property
    def _is_full_due(self) -> bool:
        return self._epoch is None or self._clock() - self._judged_all_at >= JUDGE_ALL_S

    def judge(self, progress: Progress, tables: Mapping[str, TableSchema], names: Collection[str]) -> None:
        """Judges some tables at the epoch of the last lake commit."""
        if names:
            self._save(progress, list(names), self._bases_of(progress.lake_epoch, tables, names), [])

    def _save(
        self, progress: Progress, names: Sequence[str], bases: Mapping[str, _Basis], unchanged: Sequence[str]
    ) -> None:
        judged = self._verdicts(progress.lake_epoch, names, bases)
        self._store.save_verdicts(progress, judged, self._clock(), unchanged)
        self._bases.update({name: bases[name] for name in names})
        for verdicts in judged:
            self._report(verdicts)

    def _verdicts(self, epoch: int, names: Sequence[str], bases: Mapping[str, _Basis]) -> list[TableVerdicts]:
        sums = self._store.table_sums(names, epoch)
        return [TableVerdicts(name, epoch, self._judged(name, sums[name], bases[name])) for name in names]

    def _judged(self, name: str, sums: TableSums, basis: _Basis) -> dict[str, Verdict]:
        verdicts = _judge(sums, basis, basis.inconclusive)
        is_new = self._undamaged.get(name) != verdicts
        if is_new and any(verdict.outcome is Outcome.MISMATCH for verdict in verdicts.values()):
            # Before the lake is blamed: every sum in the store must be as it was stored.
            damage = self._store.damage(name)
            if damage:
                self._log.error("the state store is damaged", table=name, reason=damage)
                return _judge(sums, basis, damage)
            self._undamaged[name] = verdicts
        return verdicts

    # --- what verdicts follow from -----------------------------------------------------------------------------

    def _bases_of(self, epoch: int, tables: Mapping[str, TableSchema], names: Iterable[str]) -> dict[str, _Basis]:
        stored = self._store.epoch(epoch)
        record = stored.epoch if stored else None
        suspects = {
            suspicion.table: suspicion
            for suspicion in self._store.suspicions().values()
            if suspicion.first_epoch <= epoch
        }
        return {name: self._basis(tables[name], record, suspects.get(name)) for name in names}

    def _basis(self, table: TableSchema, record: Epoch | None, suspicion: Suspicion | None) -> _Basis:
        name = table.table
        return _Basis(self._doubt(name, record), self._damage(table), suspicion, self._is_set_aside(name, record))

    def _is_set_aside(self, name: str, record: Epoch | None) -> bool:
        state = self._counter.states.get(name)
        is_named = record is not None and (name in record.holes or name in record.set_aside)
        return is_named or bool(state and state.set_aside)

    def _damage(self, table: TableSchema) -> str:
        """Says what is wrong with a whole lake table; empty if nothing is known to be."""
        if table.table in self._counter.broken:
            return self._counter.broken[table.table]
        state = self._counter.states.get(table.table)
        if state is None or state.field_ids is None:
            return ""
        missing = state.field_ids.missing(column.name for column in table.columns)
        return f"the lake table has no column {', '.join(missing)}" if missing else ""

    def _doubt(self, name: str, record: Epoch | None) -> str:
        """Says why a table cannot be judged; empty if it can."""
        if record is not None and name in record.set_aside:
            return record.set_aside[name]
        state = self._counter.states.get(name)
        is_broken = name in self._counter.broken
        if not is_broken and state is not None and state.set_aside:
            return state.set_aside
        if record is not None and name in record.holes:
            return record.holes[name]
        if not is_broken and (state is None or state.unreadable):
            return "the lake has not been read yet" if state is None else state.unreadable
        if record is None:
            return "the epoch is no longer known"
        return record.doubt(name)

    def _report(self, judged: TableVerdicts) -> None:
        """Logs each mismatch once, and its end once."""
        before = self._mismatches.pop(judged.table, set())
        now = {name for name, verdict in judged.verdicts.items() if verdict.outcome is Outcome.MISMATCH}
        if now:
            self._mismatches[judged.table] = now
        for partition in sorted((before ^ now) & judged.verdicts.keys()):
            verdict = judged.verdicts[partition]
            self._log.warning(
                "verdict",
                table=judged.table,
                partition=partition,
                epoch=judged.epoch,
                verdict=verdict.outcome.value,
                reason=verdict.reason or None,
            )


def _judge(sums: TableSums, basis: _Basis, inconclusive: str) -> dict[str, Verdict]:
    return judge_table(
        sums.source,
        sums.lake,
        inconclusive=inconclusive,
        unreadable=sums.unreadable,
        damaged=basis.damaged,
        suspicion=basis.suspicion,
        is_set_aside=basis.is_set_aside,
    )
