"""The tables of the state store, and how 64-bit sums lie in them.

SQLite and PostgreSQL have only signed integers of 64 bits, so a half of a digest sum is kept as the signed
number of the same bits: exact on both, and addable in SQL by its 32-bit words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from datafingerprint.fingerprint import MODULUS, Fingerprint

SCHEMA_VERSION = "8"
"""Version of these tables; a store of another one is refused, never guessed at."""

VERSIONS_BEFORE = frozenset({"1", "2", "3", "4", "5", "6", "7"})
"""Versions that become the present one: tables, columns and indexes that are missing are added."""

VERSIONS_COUNTED_OTHERWISE = frozenset({"1", "2", "3", "4"})
"""Versions whose lake side is counted again."""

_SIGNED_MIN = MODULUS >> 1

METADATA = sa.MetaData()


def _checksum() -> sa.Column[Any]:
    """What `state_checksums.checksum` makes of the row; NULL in rows of a version that had none."""
    return sa.Column("checksum", sa.BigInteger)


META = sa.Table(
    "meta",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

# One row: how far the source side and the judging of the lake have come.
PROGRESS = sa.Table(
    "progress",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("stream_id", sa.Text),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("epochs_offset", sa.BigInteger, nullable=False),
    sa.Column("lake_epoch", sa.BigInteger, nullable=False),
    sa.Column("lake_commits_offset", sa.BigInteger, nullable=False),
    _checksum(),
    sa.Column("epoch_digest", sa.Text),
)

# `record` is the epoch as the topic holds it without its transactions, which may be as many as its rows.
EPOCHS = sa.Table(
    "epochs",
    METADATA,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("committed_at", sa.Double, nullable=False),
    sa.Column("recorded_at", sa.Double, nullable=False),
    sa.Column("row_count", sa.BigInteger, nullable=False),
    sa.Column("message_count", sa.BigInteger, nullable=False),
    sa.Column("transaction_count", sa.BigInteger, nullable=False),
    sa.Column("record", sa.Text, nullable=False),
    _checksum(),
    sa.Column("tables_key", sa.Text),
)

# The tables of an epoch: their versions and snapshots. Most epochs have those of the epoch before, so that they are
# stored once, by the SHA-256 of the document. Epochs of version 5 have them in their record, and no key.
EPOCH_TABLES = sa.Table(
    "epoch_tables",
    METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("document", sa.Text, nullable=False),
)

# Rows of each table at the last epoch, added up whenever one of its sums changes.
SOURCE_TABLES = sa.Table(
    "source_tables",
    METADATA,
    sa.Column("table_name", sa.Text, primary_key=True),
    sa.Column("row_count", sa.BigInteger, nullable=False),
)

DEFINITIONS = sa.Table(
    "definitions",
    METADATA,
    sa.Column("table_name", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("document", sa.Text, nullable=False),
    _checksum(),
)


def _sum_columns(prefix: str = "", *, nullable: bool = False) -> list[sa.Column[int]]:
    return [sa.Column(f"{prefix}{name}", sa.BigInteger, nullable=nullable) for name in ("row_count", "hi", "lo")]


def _sum_key() -> list[sa.Column[Any]]:
    return [
        sa.Column("table_name", sa.Text, primary_key=True),
        sa.Column("partition_name", sa.Text, primary_key=True),
        sa.Column("kafka_partition", sa.Integer, primary_key=True, autoincrement=False),
    ]


# The value that holds now: the list of keys from which the history is looked up.
RUNNING = sa.Table("running_sums", METADATA, *_sum_key(), *_sum_columns(), _checksum())

# A value holds from its epoch on, until the next of its key. The primary key finds "the last one up to epoch n".
HISTORY = sa.Table(
    "source_sums",
    METADATA,
    *_sum_key(),
    sa.Column("epoch", sa.BigInteger, primary_key=True, autoincrement=False),
    *_sum_columns(),
    _checksum(),
    sa.Index("source_sums_epoch", "epoch"),
)

LAKE_TABLES = sa.Table(
    "lake_tables",
    METADATA,
    sa.Column("table_name", sa.Text, primary_key=True),
    sa.Column("snapshot_id", sa.BigInteger),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("is_foreign", sa.Boolean, nullable=False),
    sa.Column("unreadable", sa.Text, nullable=False),
    sa.Column("field_ids", sa.Text),
    sa.Column("set_aside", sa.Text, nullable=False),
    _checksum(),
)

FILES = sa.Table(
    "files",
    METADATA,
    sa.Column("table_name", sa.Text, primary_key=True),
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("etag", sa.Text, nullable=False),
    sa.Column("octets", sa.BigInteger, nullable=False),
    sa.Column("read_at", sa.Double, nullable=False),
    sa.Column("unreadable", sa.Text, nullable=False),
    sa.Column("filed", sa.Text, nullable=False),
    _checksum(),
)

FILE_SUMS = sa.Table(
    "file_sums",
    METADATA,
    sa.Column("table_name", sa.Text, primary_key=True),
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("partition_name", sa.Text, primary_key=True),
    *_sum_columns(),
    _checksum(),
    sa.ForeignKeyConstraint(["table_name", "path"], [FILES.c.table_name, FILES.c.path], ondelete="CASCADE"),
)


def _sketch_columns() -> list[sa.Column[Any]]:
    """See `ledger.StoredSketch`."""
    return [sa.Column("form", sa.Text, nullable=False), sa.Column("cells", sa.LargeBinary, nullable=False)]


# The sketch of a running sum, as of an epoch that the lake has come to. Where a sum has none, its rows cannot be named.
SKETCHES = sa.Table("source_sketches", METADATA, *_sum_key(), *_sketch_columns(), _checksum())

# What later epochs change in them; folded into them once the lake has come to these epochs.
SKETCH_STEPS = sa.Table(
    "sketch_steps",
    METADATA,
    *_sum_key(),
    sa.Column("epoch", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("starts", sa.Boolean, nullable=False),
    *_sketch_columns(),
    _checksum(),
    sa.Index("sketch_steps_epoch", "epoch"),
)

FILE_SKETCHES = sa.Table(
    "file_sketches",
    METADATA,
    sa.Column("table_name", sa.Text, primary_key=True),
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("partition_name", sa.Text, primary_key=True),
    *_sketch_columns(),
    _checksum(),
    sa.ForeignKeyConstraint(["table_name", "path"], [FILES.c.table_name, FILES.c.path], ondelete="CASCADE"),
)

LAKE_SIDE = (FILE_SKETCHES, FILE_SUMS, FILES, LAKE_TABLES)
"""What is counted of the lake, and can be counted again."""

SOURCE_SIDE = (PROGRESS, EPOCHS, DEFINITIONS, RUNNING, HISTORY)
"""What was read of the stream."""

SUMMARY = ("matches", "mismatches", "inconclusives", "source_row_count", "lake_row_count")
"""Columns that sum up a table's verdicts: partitions by verdict, and rows, NULL if those of a partition are unknown."""

# All verdicts on a table are given at one epoch; it stands here once, so that only partitions whose verdict or
# sums changed are written again, and a table without any partition is known to have been judged.
JUDGED = sa.Table(
    "judged_tables",
    METADATA,
    sa.Column("table_name", sa.Text, primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("judged_at", sa.Double, nullable=False),
    *(sa.Column(name, sa.BigInteger) for name in SUMMARY),
)

VERDICTS = sa.Table(
    "verdicts",
    METADATA,
    sa.Column("table_name", sa.Text, primary_key=True),
    sa.Column("partition_name", sa.Text, primary_key=True),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("since", sa.Double, nullable=False),
    *_sum_columns("source_", nullable=True),
    *_sum_columns("lake_", nullable=True),
    sa.Index("verdicts_outcome", "outcome"),
    sa.Column("point_at", sa.Double),
)

# The partitions that have points, so that a point does not repeat their names.
HISTORY_KEYS = sa.Table(
    "history_keys",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("table_name", sa.Text, nullable=False),
    sa.Column("partition_name", sa.Text, nullable=False),
    sa.UniqueConstraint("table_name", "partition_name"),
)

# A verdict and its sums as they were at a time; see `HistoryPoint`. `outcome` is a number, to keep the rows short.
POINTS = sa.Table(
    "history_points",
    METADATA,
    sa.Column("key_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at_ms", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("outcome", sa.SmallInteger, nullable=False),
    sa.Column("reason", sa.Text),
    *_sum_columns("source_", nullable=True),
    *_sum_columns("lake_", nullable=True),
    sa.Index("history_points_at", "at_ms"),
    sqlite_with_rowid=False,
)

# Tables that may have changed unlogged, from the epoch of the first cause that no audit looked behind on.
SUSPICIONS = sa.Table(
    "suspicions",
    METADATA,
    sa.Column("table_name", sa.Text, primary_key=True),
    sa.Column("first_epoch", sa.BigInteger, nullable=False),
    sa.Column("last_epoch", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("is_cascade", sa.Boolean, nullable=False),
)

# One audit each, those that wait included. `table_name` is NULL for every table, `partition_name` for all of one.
AUDITS = sa.Table(
    "audits",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("table_name", sa.Text),
    sa.Column("partition_name", sa.Text),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, default=""),
    sa.Column("owner", sa.Text, nullable=False, default=""),
    sa.Column("asked_at", sa.Double, nullable=False),
    sa.Column("started_at", sa.Double),
    sa.Column("seen_at", sa.Double),
    sa.Column("ended_at", sa.Double),
    sa.Column("partitions_done", sa.BigInteger, nullable=False, default=0),
    sa.Column("partitions", sa.BigInteger, nullable=False, default=0),
    sa.Column("row_count", sa.BigInteger, nullable=False, default=0),
    sa.Column("outcome", sa.Text),
    sa.Index("audits_state", "state"),
)


def _finding_columns() -> list[sa.Column[Any]]:
    """The position is NULL where no view was opened."""
    return [
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("hops", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        *_sum_columns("source_", nullable=True),
        *_sum_columns("stream_", nullable=True),
        sa.Column("gtid", sa.Text),
        sa.Column("file", sa.Text),
        sa.Column("pos", sa.BigInteger),
        sa.Column("epoch", sa.BigInteger),
        sa.Column("checked_at", sa.Double),
    ]


# An empty `partition_name` is a finding about the whole table, of which nothing could be told.
FINDINGS = sa.Table(
    "audit_findings",
    METADATA,
    sa.Column("audit_id", sa.Integer, sa.ForeignKey(AUDITS.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Column("table_name", sa.Text, primary_key=True),
    sa.Column("partition_name", sa.Text, primary_key=True),
    *_finding_columns(),
)

# The newest finding of every partition, kept when its audit is forgotten.
LAST_FINDINGS = sa.Table(
    "last_findings",
    METADATA,
    sa.Column("table_name", sa.Text, primary_key=True),
    sa.Column("partition_name", sa.Text, primary_key=True),
    sa.Column("audit_id", sa.Integer, nullable=False),
    *_finding_columns(),
    sa.Index("last_findings_outcome", "outcome", "checked_at"),
)


def signed(half: int) -> int:
    """The signed integer with the bits of an unsigned one of 64 bits."""
    return half - MODULUS if half >= _SIGNED_MIN else half


def stored_sum(value: Fingerprint | None, prefix: str = "") -> dict[str, int | None]:
    """The columns of a fingerprint; all NULL when it is unknown."""
    if value is None:
        return {f"{prefix}row_count": None, f"{prefix}hi": None, f"{prefix}lo": None}
    return {f"{prefix}row_count": value.rows, f"{prefix}hi": signed(value.hi), f"{prefix}lo": signed(value.lo)}


def read_sum(row: Mapping[Any, Any], prefix: str = "") -> Fingerprint:
    """The fingerprint in the columns that `stored_sum` wrote."""
    return Fingerprint(row[f"{prefix}row_count"], row[f"{prefix}hi"] % MODULUS, row[f"{prefix}lo"] % MODULUS)


def read_known_sum(row: Mapping[Any, Any], prefix: str) -> Fingerprint | None:
    """The fingerprint in these columns, None when it was stored as unknown."""
    return None if row[f"{prefix}row_count"] is None else read_sum(row, prefix)
