"""How to recover: commands and texts that several errors give."""

from __future__ import annotations

import shlex

ALL_TABLES = "*"
"""The argument of `--resnapshot` for all captured tables."""


OTHER_LAKE = "[lake] path and catalog, and another [state] url"
"""What a new stream needs besides topics: its own lake and sums."""

NEW_STATE = (
    "if the lake has the new stream too, name an empty database as [state] url; it is filled from topics and lake"
)
"""What is needed if only the sums have another stream."""

START_OVER = f"restore the topics, or start over with another [kafka] prefix, {OTHER_LAKE}"


def resnapshot_command(*tables: str) -> str:
    """The command that re-snapshots these tables with their present definitions."""
    return " ".join(["datafingerprint capture", *(f"--resnapshot {shlex.quote(table)}" for table in tables), "--once"])


RESNAPSHOT_ALL = "re-snapshot all tables and continue after this point: " + resnapshot_command(ALL_TABLES)
"""This skips the rest of the binlog up to the present, so it helps against any content of the binlog."""

DECODE_FEWER_ROWS = "set cdc.epoch_rows and cdc.snapshot_rows to a tenth of their values, and start capture again"
"""If values are too long to be decoded together."""

DAMAGED_LOG = f"the binlog is damaged or has an unknown form: check the source's disk and version; {RESNAPSHOT_ALL}"


def repair_of_lake_table(table: str) -> str:
    """How to repair a lake table whose files no longer show its rows."""
    return f"undo what another engine did to the lake table, then datafingerprint resync {table}"


LOG_FULL_ROWS = (
    "end that session (KILL), because a session keeps its settings; and let new sessions log full rows: "
    "[mysqld] binlog_format = ROW, binlog_row_image = FULL in the server's option file"
)
"""For a session that does not log full rows. Its tables are re-snapshotted automatically."""
