"""The server of an audit in memory. `tests/ports/test_audit_target_contract.py` holds it to the real one's promises."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from datafingerprint.audit import Load
from datafingerprint.epochs import SourcePosition
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.schema import TableSchema
from datafingerprint.sql.mysql_ranges import KeyRange

POSITION = SourcePosition("0-1-5", "f", 5)


def of(rows: int) -> Fingerprint:
    return Fingerprint(rows, 7 * rows, 11 * rows)


@dataclass
class MemoryView:
    """Sums by partition; a range is counted off from what its key says."""

    source: MemorySource
    position: SourcePosition = POSITION
    age_s: float = 0.0

    def abort(self) -> None:
        self.source.aborted.set()

    def rows(self, table: TableSchema) -> dict[str, int]:
        self.source.asked.append(("rows", table.name, None))
        return {name: rows for name, rows in self.source.tables[table.table].items() if rows}

    def bound(self, table: TableSchema, partitions: Sequence[str] | None, after: str | None, rows: int) -> str | None:
        held = sum(
            rows for name, rows in self.source.tables[table.table].items() if partitions is None or name in partitions
        )
        upto = int(after or 0) + rows
        return str(upto) if upto <= held else None

    def sums(
        self, table: TableSchema, partitions: Sequence[str] | None = None, bounds: KeyRange | None = None
    ) -> dict[str, Fingerprint]:
        self.source.asked.append(("sums", table.name, tuple(partitions) if partitions else None))
        self.source.before_sums(self, partitions)
        held = self.source.tables[table.table]
        if bounds is None:
            return {
                name: of(rows) for name, rows in held.items() if rows and (partitions is None or name in partitions)
            }
        (name,) = partitions or held
        after, upto = int(bounds.after or 0), int(bounds.upto or held[name])
        return {name: of(upto) - of(after)} if upto > after else {}


@dataclass
class MemorySource:
    """A server with tables as numbers of rows by partition."""

    tables: dict[str, dict[str, int]]
    position: SourcePosition = POSITION
    load: Callable[[], Load] = lambda: Load(1)
    before_sums: Callable[[MemoryView, Sequence[str] | None], None] = lambda _, __: None
    refusal: Exception | None = None
    asked: list[tuple[str, str, tuple[str, ...] | None]] = field(default_factory=list)
    views: int = 0
    aborted: threading.Event = field(default_factory=threading.Event)

    def preflight(self, _tables: Sequence[TableSchema], _stream: Sequence[SourcePosition]) -> None:
        if self.refusal is not None:
            raise self.refusal

    @contextmanager
    def gauge(self) -> Iterator[Callable[[], Load]]:
        def read() -> Load:
            return self.load()

        yield read

    @contextmanager
    def view(self, _tables: Sequence[TableSchema]) -> Iterator[MemoryView]:
        self.views += 1
        yield MemoryView(self, self.position)
