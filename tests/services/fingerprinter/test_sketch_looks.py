"""Sketches that are lacking are looked for once, and then only where something changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datafingerprint.config import Fingerprinter as FingerprinterSettings
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.ledger import Progress, SumKey
from services.fingerprinter import fingerprinter as fingerprinter_module
from services.fingerprinter.fingerprinter import ADOPTED_AT_ONCE, FOLD_EVERY_S, Fingerprinter
from services.fingerprinter.source_sketches import SourceSketches
from tests.flow.test_in_memory import LOG, SCRATCH

TABLES = [f"s.t{number:04}" for number in range(2 * ADOPTED_AT_ONCE + 1)]


class Store:
    """A store of sketches. It names what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.ready: dict[SumKey, str] = {}

    def fold_sketches(self, _epoch: int) -> bool:
        return False

    def adopt_sketches(self, keys: Sequence[SumKey]) -> dict[SumKey, str]:
        self.asked.append([key.table for key in keys])
        return {key: form for key, form in self.ready.items() if key in keys}


class Sides:
    """Both sides of tables of one row each, without sketches."""

    def __init__(self) -> None:
        self.sketches = SourceSketches({}, lambda _: 40)
        self.changed: set[str] = set()
        self.read: set[str] = set()

    def unsketched(self, tables: set[str] | None = None) -> list[SumKey]:
        names = TABLES if tables is None else sorted(tables)
        return self.sketches.lacking({SumKey(name, "-", 0): Fingerprint(1, 2, 3) for name in names})

    def take_changed(self) -> set[str]:
        changed, self.changed = self.changed, set()
        return changed

    def take_read(self) -> set[str]:
        read, self.read = self.read, set()
        return read


def test_after_one_look_at_all_tables_only_changed_ones_are_looked_at() -> None:
    now = [1000.0]
    none: Any = None
    store: Any = Store()
    sides: Any = Sides()
    made = Fingerprinter(
        none, none, none, SCRATCH, none, FingerprinterSettings(), LOG, clock=lambda: now[0], sketches=store
    )
    schedule = fingerprinter_module._Schedule(now[0], now[0], now[0], now[0])

    def rounds(number: int) -> list[list[str]]:
        store.asked.clear()
        for _ in range(number):
            made._keep_sketches(sides, sides, sides.sketches, Progress(), schedule)
            now[0] += 1.0
        return list(store.asked)

    asked = rounds(5)
    assert [name for names in asked for name in names] == TABLES
    assert [len(names) for names in asked] == [ADOPTED_AT_ONCE, ADOPTED_AT_ONCE, 1]
    now[0] += FOLD_EVERY_S
    assert rounds(3) == []
    sides.changed, sides.read = {TABLES[5]}, {TABLES[7]}
    store.ready = {SumKey(TABLES[5], "-", 0): "form"}
    now[0] += FOLD_EVERY_S
    assert rounds(3) == [[TABLES[5], TABLES[7]]]
    sides.read = {TABLES[5], TABLES[7]}
    now[0] += FOLD_EVERY_S
    assert rounds(3) == [[TABLES[7]]]
