"""The scans in the state store, in tables of their own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from datafingerprint.adapters.state.engine import open_engine, place, translated, writers
from datafingerprint.adapters.state.tables import read_known_sum, stored_sum
from datafingerprint.errors import ConfigError
from datafingerprint.scans import LEASE_S, Scan, ScanState
from datafingerprint.verdict import Outcome, Verdict

SCANS_KEPT = 1_000

_TABLES = sa.MetaData()
_SCANS = sa.Table(
    "scans",
    _TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("engine", sa.Text, nullable=False),
    sa.Column("table_name", sa.Text, nullable=False),
    sa.Column("partition_name", sa.Text),
    sa.Column("snapshot_id", sa.BigInteger),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("started_at", sa.Double, nullable=False),
    sa.Column("seen_at", sa.Double, nullable=False),
    sa.Column("ended_at", sa.Double),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("progress", sa.Text, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Index("scans_table", "table_name"),
)


def _sums(prefix: str) -> list[sa.Column[Any]]:
    return [sa.Column(f"{prefix}{name}", sa.BigInteger) for name in ("row_count", "hi", "lo")]


_PARTS = sa.Table(
    "scan_sums",
    _TABLES,
    sa.Column("scan_id", sa.Integer, sa.ForeignKey(_SCANS.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Column("partition_name", sa.Text, primary_key=True),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    *_sums("running_"),
    *_sums("counted_"),
)
_CANCELLED = sa.Table(
    "scan_cancellations",
    _TABLES,
    sa.Column("scan_id", sa.Integer, sa.ForeignKey(_SCANS.c.id, ondelete="CASCADE"), primary_key=True),
)
SCAN_TABLES = tuple(_TABLES.tables)
"""Their names, in the database of the state store."""


class SqlScanStore:
    """Implements `ScanStore`; may be used by several threads and processes.

    Args:
        url: The state store's.
        clock: Unix time in seconds.

    Raises:
        ConfigError: the URL is not of a database that the store knows.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.time) -> None:
        self._engine = open_engine(url)
        self._where = place(self._engine)
        self._clock = clock
        self._prepared = False
        self._preparing = threading.Lock()

    def close(self) -> None:
        """Closes every connection."""
        self._engine.dispose()

    def begin(self, scan: Scan, running_max: int) -> Scan:
        """See the port."""
        now = self._clock()
        with self._writing() as connection:
            running = connection.scalar(
                sa.select(sa.func.count())
                .select_from(_SCANS)
                .where(
                    _SCANS.c.engine == scan.engine,
                    _SCANS.c.state == ScanState.RUNNING.value,
                    _SCANS.c.seen_at > now - LEASE_S,
                )
            )
            if (running or 0) >= running_max:
                raise ConfigError(
                    f"{running} scans run on {scan.engine} already",
                    remedy=f"wait, or raise engines.{scan.engine}.scans_max",
                )
            inserted = connection.execute(
                sa.insert(_SCANS).values(
                    engine=scan.engine,
                    table_name=scan.table,
                    partition_name=scan.partition,
                    snapshot_id=scan.snapshot_id,
                    epoch=scan.epoch,
                    started_at=scan.started_at,
                    seen_at=now,
                    state=ScanState.RUNNING.value,
                    progress="",
                    error="",
                )
            )
            (number,) = inserted.inserted_primary_key or (0,)
            connection.execute(sa.delete(_SCANS).where(_SCANS.c.id <= number - SCANS_KEPT))
        stored = self.scan(int(number))
        assert stored is not None  # noqa: S101 - it was written a moment ago
        return stored

    def show_progress(self, number: int, progress: str) -> None:
        """See the port."""
        changed = sa.update(_SCANS).where(_SCANS.c.id == number).values(progress=progress, seen_at=self._clock())
        with self._writing() as connection:
            connection.execute(changed)

    def end(self, scan: Scan) -> None:
        """See the port."""
        parts = [
            {
                "scan_id": scan.number,
                "partition_name": name,
                "outcome": verdict.outcome.value,
                "reason": verdict.reason,
                **stored_sum(verdict.source, "running_"),
                **stored_sum(verdict.lake, "counted_"),
            }
            for name, verdict in (scan.verdicts or {}).items()
        ]
        with self._writing() as connection:
            connection.execute(
                sa.update(_SCANS)
                .where(_SCANS.c.id == scan.number)
                .values(state=scan.state.value, error=scan.error, ended_at=scan.ended_at, seen_at=self._clock())
            )
            if parts:
                connection.execute(sa.insert(_PARTS), parts)

    def cancel(self, number: int) -> None:
        """See the port."""
        with self._writing() as connection:
            running = sa.select(_SCANS.c.id).where(
                _SCANS.c.id == number,
                _SCANS.c.state == ScanState.RUNNING.value,
                _SCANS.c.id.not_in(sa.select(_CANCELLED.c.scan_id)),
            )
            connection.execute(sa.insert(_CANCELLED).from_select(["scan_id"], running))

    def is_cancelled(self, number: int) -> bool:
        """See the port."""
        with translated(self._where):
            self._prepare()
            with self._engine.begin() as connection:
                cancelled = connection.scalar(sa.select(_CANCELLED.c.scan_id).where(_CANCELLED.c.scan_id == number))
        return cancelled is not None

    def scan(self, number: int) -> Scan | None:
        """See the port."""
        scans = self._read(sa.select(_SCANS).where(_SCANS.c.id == number))
        return scans[0] if scans else None

    def scans(self, *, limit: int) -> list[Scan]:
        """The last scans, the newest first."""
        return self._read(sa.select(_SCANS).order_by(_SCANS.c.id.desc()).limit(limit))

    def last_of(self, table: str) -> list[Scan]:
        """Reads the last scan of each engine, and the last one of the whole table, newest first."""
        newest = sa.select(sa.func.max(_SCANS.c.id)).where(_SCANS.c.table_name == table).group_by(_SCANS.c.engine)
        whole = newest.where(_SCANS.c.state == ScanState.DONE.value, _SCANS.c.partition_name.is_(None))
        wanted = sa.or_(_SCANS.c.id.in_(newest), _SCANS.c.id.in_(whole))
        return self._read(sa.select(_SCANS).where(wanted).order_by(_SCANS.c.id.desc()))

    def _read(self, query: sa.Select[Any]) -> list[Scan]:
        with translated(self._where):
            self._prepare()
            with self._engine.begin() as connection:
                rows = list(connection.execute(query).mappings())
                numbers = [row["id"] for row in rows]
                parts = connection.execute(
                    sa.select(_PARTS).where(_PARTS.c.scan_id.in_(numbers)).order_by(_PARTS.c.partition_name)
                ).mappings()
                verdicts: dict[int, dict[str, Verdict]] = {number: {} for number in numbers}
                for part in parts:
                    verdicts[part["scan_id"]][part["partition_name"]] = Verdict(
                        Outcome(part["outcome"]),
                        part["reason"],
                        read_known_sum(part, "running_"),
                        read_known_sum(part, "counted_"),
                    )
        return [self._scan(row, verdicts[row["id"]]) for row in rows]

    def _scan(self, row: sa.RowMapping, verdicts: dict[str, Verdict]) -> Scan:
        state, error = ScanState(row["state"]), row["error"]
        if state is ScanState.RUNNING and row["seen_at"] < self._clock() - LEASE_S:
            state, error = ScanState.FAILED, "the process that ran it is gone"
        return Scan(
            row["id"],
            row["engine"],
            row["table_name"],
            row["partition_name"],
            row["snapshot_id"],
            row["epoch"],
            row["started_at"],
            row["ended_at"],
            state,
            row["progress"],
            error,
            verdicts,
        )

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with translated(self._where):
            self._prepare()
            with writers(self._engine).begin() as connection:
                yield connection

    def _prepare(self) -> None:
        """Makes missing tables, once. If none is missing it only reads, so that no reader waits."""
        with self._preparing:
            if self._prepared:
                return
            with self._engine.begin() as connection:
                inspected = sa.inspect(connection)
                is_whole = all(inspected.has_table(name) for name in _TABLES.tables)
            if not is_whole:
                with writers(self._engine).begin() as connection:
                    _TABLES.create_all(connection)
            self._prepared = True
