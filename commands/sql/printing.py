"""The printed text: a statement, below a comment that describes its result."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass

from datafingerprint.errors import ConfigError
from datafingerprint.partitions import partitioning, required_values
from datafingerprint.schema import TableSchema
from datafingerprint.sql import comparison, lake, mysql, mysql_ranges
from datafingerprint.sql.engines import LAKE_ENGINES
from datafingerprint.sql.lake import TableLocation
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
_OF_SOURCE = """\
-- The fingerprint of {table}{part}: per partition the rows, and the sums of the four 32-bit words of the
-- md5 digests of their canonical rows. Modulo 2^64, w0 * 2^32 + w1 is the high half and w2 * 2^32 + w3 the
-- low half, which is `fingerprint`, as DataFingerprint shows it.
{more}"""
_HALVES = """\
-- The fingerprint of {table}{part}: per partition the rows, and both halves of the sum of the md5 digests
-- of their canonical rows, modulo 2^64. `fingerprint` is the low half, as DataFingerprint shows it.
{more}"""
_ROWS = """\
-- Every row of {table}{part}: its partition, the canonical form of its key, and the md5 digest of its canonical row.
{more}"""
_UNRENDERED = "-- `unrendered` must be 0: the number of rows that are too long for the server's max_allowed_packet.\n"
_NO_DIGEST = "-- The digest of a row is NULL if the row or a value is longer than the server's max_allowed_packet.\n"
_OF_PRESTO = """\
-- The session must be in UTC. In Presto only the client can set that: by X-Presto-Time-Zone, in the CLI by
-- java -Duser.timezone=UTC. Presto reads the lake as of the last `datafingerprint export-catalog`.
"""
_OF_MYSQL = """\
-- MySQL 9.6 and later need MD5() installed by an administrator: INSTALL COMPONENT 'file://component_classic_hashing'.
"""
_OF_DUCKDB = """\
-- These are the live files of {snapshot}. A file that a later commit replaces is removed {grace_s:g} s after
-- that commit or later. Then print the statement again. DuckDB first needs access to the store:
--   INSTALL httpfs; LOAD httpfs;
--   {secret};
"""
_COMPARISON = """\
-- Partitions of {table}{part} that differ between source and lake. No row means that all are equal.
-- Both are read as they are now. While rows are written, the lake is some seconds behind.
{more}"""
_UNKNOWN = """\
-- Rows without a source_fingerprint are unknown: a row or a value is longer than the source's max_allowed_packet, or
-- the session is not in UTC, or has a mode that alters values. The connection-url of the catalog {source} must set
-- (for MySQL's connector the + is %2B)
-- sessionVariables=time_zone='+00:00',sql_mode='',sql_select_limit=18446744073709551615.
"""
_EXTERNAL = """\
-- {table} for Redshift Spectrum, over the live files that a manifest lists. Never use a prefix: replaced files stay
-- below it for a while, and their rows would be counted twice. Write the manifest first, and again after each commit
-- that a count must include:
--   datafingerprint export-manifest {quoted} --output {file}
--   aws s3 cp {file} {location}
-- The external schema must exist (deploy/redshift/manifest_table.sql). The files hold every column, also the partition
-- columns, so there is no PARTITIONED BY.
"""


@dataclass(frozen=True, slots=True)
class LiveFiles:
    """The live files of a lake table, for an engine that reads files.

    Attributes:
        paths: The files.
        snapshot_id: Their snapshot. None for a table without one.
        secret: The statement that gives DuckDB access to the store, without the keys.
        grace_s: Seconds for which a replaced file stays.
    """

    paths: tuple[str, ...]
    snapshot_id: int | None = None
    secret: str = ""
    grace_s: float = 0.0


@dataclass(frozen=True, slots=True)
class StatementChoice:
    """The kind of statement that a user wants.

    Attributes:
        engine: The engine that runs the statement.
        partition: The only wanted partition. None for all.
        rows: Whether to list the digest of every row instead of the sums.
        compare: Whether to compare both catalogs and list the differences.
        catalog: The engine's catalog of the lake. Empty for the default.
        snapshot_id: The snapshot to read. None for the present one.
        server: Kind of the compared source. None without a comparison, or when not known.
        source: The engine's catalog of the source. Empty for the default.
        external: Whether to print Redshift's external table instead.
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
    """The first statements of a session."""
    return mysql.SESSION if engine in SOURCE_ENGINES else LAKE_ENGINES[engine].session


def statement(
    table: TableSchema, wanted: StatementChoice, files: Callable[[TableSchema], LiveFiles], manifests: str = ""
) -> str:
    """The statement with its comment.

    Args:
        table: The table.
        wanted: The kind of statement.
        files: Returns a lake table's live files. Called only for engines that need them.
        manifests: The prefix of manifests, for an external table.

    Raises:
        ConfigError: The engine cannot render a column exactly or cannot compare, there is no such partition, or
            options contradict each other.
    """
    require_sense(wanted)
    if wanted.external:
        return f"{_about_external(table, manifests)}{external_table(table, manifests)};\n"
    part = f", partition {wanted.partition}" if wanted.partition is not None else ""
    if wanted.engine in SOURCE_ENGINES:
        about, text = _of_source(table, wanted)
        more = _NO_DIGEST if wanted.rows else _UNRENDERED
    else:
        live = files(table) if LAKE_ENGINES[wanted.engine].needs_files else None
        about, text = _of_lake(table, wanted, live)
        more = _of_engine(wanted, live)
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


def require_sense(wanted: StatementChoice) -> None:
    """Checks that the options can be combined.

    Raises:
        ConfigError: An option would have no effect.
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
        raise ConfigError(f"{option} describes the source of --compare", remedy=f"add --compare, or leave out {option}")
    if wanted.catalog and wanted.engine not in WITH_CATALOGS:
        raise ConfigError(
            f"{wanted.engine} has no catalogs",
            remedy=f"--catalog is for {', '.join(WITH_CATALOGS)}",
        )
    if wanted.snapshot_id is not None and wanted.engine in SOURCE_ENGINES:
        raise ConfigError(f"{wanted.engine} has no snapshots of the lake", remedy="leave out --snapshot")
    if wanted.snapshot_id is not None and not LAKE_ENGINES[wanted.engine].travels:
        raise ConfigError(f"{wanted.engine} reads the present snapshot only", remedy="leave out --snapshot")


def _of_source(table: TableSchema, wanted: StatementChoice) -> tuple[str, str]:
    fields, dialect = partitioning(table), Dialect(wanted.engine)
    where = ""
    if wanted.partition is not None:
        required_values(table, fields, wanted.partition)
        where = mysql_ranges.within_partition(fields, wanted.partition, dialect)
    if wanted.rows:
        return _ROWS, mysql.digests(table, fields, dialect, where, key=True)
    return _OF_SOURCE, mysql.fingerprints_by_partition(table, fields, dialect, where)


def _of_lake(table: TableSchema, wanted: StatementChoice, live: LiveFiles | None) -> tuple[str, str]:
    dialect, fields = LAKE_ENGINES[wanted.engine], partitioning(table)
    location = TableLocation(wanted.catalog, wanted.snapshot_id, live.paths if live else ())
    if wanted.compare:
        return _COMPARISON, _comparison(table, wanted, location)
    if wanted.rows:
        return _ROWS, lake.digests(dialect, table, fields, location, wanted.partition)
    text = lake.sums_by_partition(dialect, table, fields, location, wanted.partition)
    return (_HALVES if dialect.gives_halves else _SUMS), text


def _of_engine(wanted: StatementChoice, live: LiveFiles | None) -> str:
    """What a user must do in this engine before the statement can run."""
    if live is not None:
        snapshot = f"snapshot {live.snapshot_id}" if live.snapshot_id is not None else "a table without a snapshot"
        return _OF_DUCKDB.format(snapshot=snapshot, secret=on_one_line(live.secret), grace_s=live.grace_s)
    if wanted.engine == "presto":
        return _OF_PRESTO
    return _UNKNOWN.format(source=on_one_line(wanted.source or comparison.SOURCE)) if wanted.compare else ""


def _comparison(table: TableSchema, wanted: StatementChoice, location: TableLocation) -> str:
    fields, source = partitioning(table), wanted.source or comparison.SOURCE
    if wanted.engine == "presto":
        return comparison.in_presto(table, fields, location, wanted.partition, source)
    if wanted.server is None:
        raise ConfigError(
            "the kind of the source is not known before its first epoch",
            remedy="add --server mysql or --server mariadb",
        )
    return comparison.in_trino(table, fields, location, wanted.server, wanted.partition, source)


def on_one_line(words: str) -> str:
    """Text for a comment. A line break in a name would end the comment, so it becomes `?`."""
    return "".join(letter if letter.isprintable() else "?" for letter in words)
