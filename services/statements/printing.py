"""What is printed: a statement, and above it what it gives."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass

from datafingerprint.errors import ConfigError
from datafingerprint.partitions import partitioning, required_values
from datafingerprint.schema import TableSchema
from datafingerprint.sql import comparison, lake, mysql, mysql_ranges
from datafingerprint.sql.engines import LAKE_ENGINES
from datafingerprint.sql.lake import Place
from datafingerprint.sql.mysql import Dialect
from datafingerprint.sql.redshift_external import external_table, manifest_location

SOURCE_ENGINES = tuple(dialect.value for dialect in Dialect)
ENGINES = (*SOURCE_ENGINES, *LAKE_ENGINES)
COMPARING = ("trino", "presto")
WITH_CATALOGS = ("trino", "presto", "spark")

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
_OF_PRESTO = """\
-- The session must be in UTC. No statement of Presto sets that, its client does: by X-Presto-Time-Zone, and the CLI
-- by java -Duser.timezone=UTC. The lake is what `datafingerprint export-catalog` told Presto last.
"""
_OF_MYSQL = """\
-- A MySQL of 9.6 or later has MD5() once an administrator has said INSTALL COMPONENT 'file://component_classic_hashing'.
"""
_OF_DUCKDB = """\
-- These are the live files of {snapshot}. A file that a later commit replaces is removed {grace_s:g} s after
-- that commit or later: then print the statement again. Before it, DuckDB must be able to read the store:
--   INSTALL httpfs; LOAD httpfs;
--   {secret};
"""
_COMPARISON = """\
-- Partitions of {table}{part} that are not the same in the warehouse and in the lake; none means that all are.
-- Both are read as they are now: while rows are being written, the lake is some seconds behind.
{more}"""
_UNTOLD = """\
-- Rows without a source_fingerprint could not be told: one of them, or a value, is longer than the source's
-- max_allowed_packet; or the session is not in UTC, or has a mode that alters values. The connection-url of the catalog
-- {source} must set sessionVariables=time_zone='+00:00',sql_mode='' (for MySQL's connector the + is %2B).
"""
_EXTERNAL = """\
-- {table} for Redshift Spectrum, over the live files that a manifest lists. Never over a prefix: files that were
-- replaced stay below it for a while, and their rows would be counted twice. Put the manifest there before, and anew
-- after each commit that a count is to include:
--   datafingerprint export-manifest {quoted} --output {file}
--   aws s3 cp {file} {location}
-- The external schema must be there (deploy/redshift/manifest_table.sql). Every column is in the files, those too by
-- which the table is split: there is no PARTITIONED BY.
"""


@dataclass(frozen=True, slots=True)
class LiveFiles:
    """What an engine that reads files is told of a lake table.

    Attributes:
        paths: The files.
        snapshot_id: Whose they are; None for a table without any.
        secret: The statement that gives DuckDB the store's keys, without these.
        grace_s: Seconds for which a file stays that a commit has replaced.
    """

    paths: tuple[str, ...]
    snapshot_id: int | None = None
    secret: str = ""
    grace_s: float = 0.0


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
        server: Which server the source of a comparison is; None where nothing is compared, or nobody knows.
        source: The engine's name of that source; empty for the default.
        external: The statement that makes Redshift's external table instead.
    """

    engine: str
    partition: str | None = None
    rows: bool = False
    compare: bool = False
    catalog: str = ""
    snapshot_id: int | None = None
    server: Dialect | None = None
    source: str = ""
    external: bool = False


def session(engine: str) -> tuple[str, ...]:
    """Statements that a session begins with."""
    return mysql.SESSION if engine in SOURCE_ENGINES else LAKE_ENGINES[engine].session


def statement(
    table: TableSchema, wanted: Wanted, files: Callable[[TableSchema], LiveFiles], manifests: str = ""
) -> str:
    """The statement with its comment.

    Args:
        table: Whose rows.
        wanted: What is asked for.
        files: Gives a lake table's live files; asked only for engines that need them.
        manifests: The prefix below which manifests lie, for an external table.

    Raises:
        ConfigError: the engine cannot render a column exactly or cannot compare, there is no such partition, or what is
            asked for does not go together.
    """
    require_sense(wanted)
    if wanted.external:
        return f"{_about_external(table, manifests)}{external_table(table, manifests)};\n"
    part = f", partition {wanted.partition}" if wanted.partition is not None else ""
    if wanted.engine in SOURCE_ENGINES:
        about, text = _of_source(table, wanted)
        more = _NO_DIGEST if wanted.rows else _UNRENDERED
    else:
        found = files(table) if LAKE_ENGINES[wanted.engine].needs_files else None
        about, text = _of_lake(table, wanted, found)
        more = _of_engine(wanted, found)
    if Dialect.MYSQL in (wanted.engine, wanted.server):
        more += _OF_MYSQL
    return f"{about.format(table=on_one_line(table.table), part=on_one_line(part), more=more)}{text};\n"


def _about_external(table: TableSchema, manifests: str) -> str:
    location = manifest_location(manifests, table)
    return _EXTERNAL.format(
        table=on_one_line(table.table),
        quoted=on_one_line(shlex.quote(table.table)),
        file=on_one_line(shlex.quote(location.rsplit("/", maxsplit=1)[1])),
        location=on_one_line(shlex.quote(location)),
    )


def require_sense(wanted: Wanted) -> None:
    """Demands that everything that is asked for has a meaning together.

    Raises:
        ConfigError: something has none; it would be passed over in silence.
    """
    if wanted.external and wanted.engine != "redshift":
        raise ConfigError(
            f"{wanted.engine} has no external tables over a manifest", remedy="--external is for redshift"
        )
    if wanted.external and (wanted.rows or wanted.partition is not None):
        raise ConfigError("--external makes a table", remedy="leave out --rows and --partition, or --external")
    if wanted.compare and wanted.engine not in COMPARING:
        what = "cannot read the lake" if wanted.engine in SOURCE_ENGINES else "reads one catalog only"
        raise ConfigError(f"{wanted.engine} {what}", remedy=f"--compare is for {' and '.join(COMPARING)}")
    if wanted.compare and wanted.rows:
        raise ConfigError("--compare gives partitions, not rows", remedy="leave out --rows or --compare")
    if wanted.compare and wanted.snapshot_id is not None:
        raise ConfigError("--compare reads both sides as they are now", remedy="leave out --snapshot or --compare")
    if not wanted.compare and (wanted.server or wanted.source):
        option = "--server" if wanted.server else "--source-catalog"
        raise ConfigError(
            f"{option} tells of the warehouse of --compare", remedy=f"say --compare, or leave out {option}"
        )
    if wanted.catalog and wanted.engine not in WITH_CATALOGS:
        raise ConfigError(
            f"{wanted.engine} finds nothing by the name of a catalog",
            remedy=f"--catalog is for {', '.join(WITH_CATALOGS)}",
        )
    if wanted.snapshot_id is not None and wanted.engine in SOURCE_ENGINES:
        raise ConfigError(f"{wanted.engine} has no snapshots of the lake", remedy="leave out --snapshot")
    if wanted.snapshot_id is not None and not LAKE_ENGINES[wanted.engine].travels:
        raise ConfigError(f"{wanted.engine} reads the present snapshot only", remedy="leave out --snapshot")


def _of_source(table: TableSchema, wanted: Wanted) -> tuple[str, str]:
    fields, dialect = partitioning(table), Dialect(wanted.engine)
    where = ""
    if wanted.partition is not None:
        required_values(table, fields, wanted.partition)
        where = mysql_ranges.within_partition(fields, wanted.partition, dialect)
    if wanted.rows:
        return _ROWS, mysql.digests(table, fields, dialect, where, key=True)
    return _SUMS, mysql.sums_by_partition(table, fields, dialect, where)


def _of_lake(table: TableSchema, wanted: Wanted, found: LiveFiles | None) -> tuple[str, str]:
    dialect, fields = LAKE_ENGINES[wanted.engine], partitioning(table)
    place = Place(wanted.catalog, wanted.snapshot_id, found.paths if found else ())
    if wanted.compare:
        return _COMPARISON, _compared(table, wanted, place)
    if wanted.rows:
        return _ROWS, lake.digests(dialect, table, fields, place, wanted.partition)
    text = lake.sums_by_partition(dialect, table, fields, place, wanted.partition)
    return (_HALVES if dialect.gives_halves else _SUMS), text


def _of_engine(wanted: Wanted, found: LiveFiles | None) -> str:
    """What a person must know of this engine before the statement can be run."""
    if found is not None:
        snapshot = f"snapshot {found.snapshot_id}" if found.snapshot_id is not None else "a table without a snapshot"
        return _OF_DUCKDB.format(snapshot=snapshot, secret=on_one_line(found.secret), grace_s=found.grace_s)
    if wanted.engine == "presto":
        return _OF_PRESTO
    return _UNTOLD.format(source=on_one_line(wanted.source or comparison.SOURCE)) if wanted.compare else ""


def _compared(table: TableSchema, wanted: Wanted, place: Place) -> str:
    fields, source = partitioning(table), wanted.source or comparison.SOURCE
    if wanted.engine == "presto":
        return comparison.in_presto(table, fields, place, wanted.partition, source)
    if wanted.server is None:
        raise ConfigError(
            "what the warehouse is cannot be told before its first epoch",
            remedy="say --server mysql or --server mariadb",
        )
    return comparison.in_trino(table, fields, place, wanted.server, wanted.partition, source)


def on_one_line(words: str) -> str:
    """What stands in a comment: a name may hold a line's end, behind which the comment would be SQL."""
    return "".join(letter if letter.isprintable() else "?" for letter in words)
