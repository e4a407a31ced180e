"""What is printed: a statement, and above it what it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from datafingerprint.errors import ConfigError
from datafingerprint.partitions import partitioning, required_values
from datafingerprint.schema import TableSchema
from datafingerprint.sql import comparison, lake, mysql, mysql_ranges
from datafingerprint.sql.engines import LAKE_ENGINES
from datafingerprint.sql.lake import Place
from datafingerprint.sql.mysql import Dialect

SOURCE_ENGINES = tuple(dialect.value for dialect in Dialect)
ENGINES = (*SOURCE_ENGINES, *LAKE_ENGINES)
COMPARING = ("trino", "presto")

_SUMS = """\
-- The fingerprint of {table}{part}: per partition the rows, and the sums of the four 32-bit words of the
-- md5 digests of their canonical rows. Modulo 2^64, w0 * 2^32 + w1 is the high half and w2 * 2^32 + w3 the
-- low half, which is the fingerprint that DataFingerprint shows.
{more}"""
_HALVES = """\
-- The fingerprint of {table}{part}: per partition the rows, and both halves of the sum of the md5 digests
-- of their canonical rows, modulo 2^64. `fingerprint` is the low half, as DataFingerprint shows it.
{more}"""
_ROWS = """\
-- Every row of {table}{part}: its partition, the canonical form of its key, and the md5 digest of its canonical row.
{more}"""
_UNRENDERED = (
    "-- `unrendered` must be 0: so many rows, or a value of theirs, are longer than the server's max_allowed_packet.\n"
)
_NO_DIGEST = "-- The digest is NULL of a row that is, or has a value, longer than the server's max_allowed_packet.\n"
_IN_UTC = """\
-- The session must be in UTC. No statement of Presto sets that, its client does: by X-Presto-Time-Zone, and the CLI
-- by java -Duser.timezone=UTC.
"""
_COMPARISON = """\
-- Partitions of {table}{part} that are not the same in the warehouse and in the lake; none means that all are.
-- Both are read as they are now: while rows are being written, the lake is some seconds behind.
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for.

    Attributes:
        engine: Whose SQL.
        partition: Only this one.
        rows: The digest of every row instead of the sums.
        compare: Both catalogs, and only what differs.
        catalog: The engine's name of the lake; empty for the default.
        snapshot_id: The snapshot to read; None for the present one.
        server: Which server the source of a comparison is.
        source: The engine's name of that source.
    """

    engine: str
    partition: str | None = None
    rows: bool = False
    compare: bool = False
    catalog: str = ""
    snapshot_id: int | None = None
    server: Dialect = Dialect.MARIADB
    source: str = comparison.SOURCE


def session(engine: str) -> tuple[str, ...]:
    """Statements that a session begins with."""
    return mysql.SESSION if engine in SOURCE_ENGINES else LAKE_ENGINES[engine].session


def statement(table: TableSchema, wanted: Wanted, files: Callable[[TableSchema], tuple[str, ...]]) -> str:
    """The statement with its comment.

    Args:
        table: Whose rows.
        wanted: What is asked for.
        files: Gives a lake table's live files; asked only for engines that need them.

    Raises:
        ConfigError: the engine cannot render a column exactly or cannot compare, or there is no such partition.
    """
    about, text = _of_source(table, wanted) if wanted.engine in SOURCE_ENGINES else _of_lake(table, wanted, files)
    part = f", partition {wanted.partition}" if wanted.partition is not None else ""
    unknown = _NO_DIGEST if wanted.rows else _UNRENDERED
    more = unknown if wanted.engine in SOURCE_ENGINES else ""
    before = _IN_UTC if wanted.engine == "presto" else ""
    return f"{about.format(table=on_one_line(table.table), part=on_one_line(part), more=more)}{before}{text};\n"


def _of_source(table: TableSchema, wanted: Wanted) -> tuple[str, str]:
    if wanted.compare:
        raise ConfigError(f"{wanted.engine} cannot read the lake", remedy=f"--compare is for {' and '.join(COMPARING)}")
    if wanted.snapshot_id is not None:
        raise ConfigError(f"{wanted.engine} has no snapshots of the lake", remedy="leave out --snapshot")
    fields, dialect = partitioning(table), Dialect(wanted.engine)
    where = ""
    if wanted.partition is not None:
        required_values(table, fields, wanted.partition)
        where = mysql_ranges.within_partition(fields, wanted.partition, dialect)
    if wanted.rows:
        return _ROWS, mysql.digests(table, fields, dialect, where, key=True)
    return _SUMS, mysql.sums_by_partition(table, fields, dialect, where)


def _of_lake(table: TableSchema, wanted: Wanted, files: Callable[[TableSchema], tuple[str, ...]]) -> tuple[str, str]:
    dialect, fields = LAKE_ENGINES[wanted.engine], partitioning(table)
    if wanted.snapshot_id is not None and not dialect.travels:
        raise ConfigError(f"{wanted.engine} reads the present snapshot only", remedy="leave out --snapshot")
    place = Place(wanted.catalog, wanted.snapshot_id, files(table) if dialect.needs_files else ())
    if wanted.compare:
        return _COMPARISON, _compared(table, wanted, place)
    if wanted.rows:
        return _ROWS, lake.digests(dialect, table, fields, place, wanted.partition)
    text = lake.sums_by_partition(dialect, table, fields, place, wanted.partition)
    return (_HALVES if dialect.gives_halves else _SUMS), text


def _compared(table: TableSchema, wanted: Wanted, place: Place) -> str:
    if wanted.rows:
        raise ConfigError("--compare gives partitions, not rows", remedy="leave out --rows or --compare")
    if wanted.engine == "trino":
        return comparison.in_trino(table, partitioning(table), place, wanted.server, wanted.partition, wanted.source)
    if wanted.engine == "presto":
        return comparison.in_presto(table, partitioning(table), place, wanted.partition, wanted.source)
    raise ConfigError(f"{wanted.engine} reads one catalog only", remedy=f"--compare is for {' and '.join(COMPARING)}")


def on_one_line(words: str) -> str:
    """What stands in a comment: a name may hold a line's end, behind which the comment would be SQL."""
    return "".join(letter if letter.isprintable() else "?" for letter in words)
