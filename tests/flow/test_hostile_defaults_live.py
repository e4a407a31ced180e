"""What the server's defaults and `init_connect` make of every session changes nothing that ours read or write."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import pymysql
import pytest
from pymysql.cursors import Cursor

from commands.resync.__main__ import run as resync
from datafingerprint.adapters.mysql.audit_source import AuditSource
from datafingerprint.adapters.mysql.checkup import SourceCheckup
from datafingerprint.adapters.mysql.connection import connect
from datafingerprint.adapters.mysql.source import BinlogSource
from datafingerprint.config import Settings
from datafingerprint.digests import sums_by_partition
from datafingerprint.errors import SourceError
from datafingerprint.partitions import partitioning
from datafingerprint.ports.source import SnapshotRows, UnreadTable
from datafingerprint.resync import ResyncRequest
from datafingerprint.sql.mysql_ranges import KeyRange
from datafingerprint.sql.mysql_session import READING, WRITING
from datafingerprint.verdict import Outcome
from deploy.embedded.stack import EmbeddedStack
from services.auditor.__main__ import run as audit
from services.generator.tables import TABLES
from tests.datafingerprint.binlog.following import snapshot_of
from tests.flow.running import Flow
from tests.services.generator.running import run as generate

pytestmark = pytest.mark.live

HOSTILE: dict[str, str] = {
    "sql_select_limit": "2",
    "max_join_size": "10",
    "sql_buffer_result": "1",
    "sql_safe_updates": "1",
    "max_statement_time": "0.002",
    "max_execution_time": "2",
    "tmp_disk_table_size": "1024",
    "time_zone": "'+11:30'",
    "lc_time_names": "'de_DE'",
    "lc_messages": "'de_DE'",
    "div_precision_increment": "0",
    "group_concat_max_len": "4",
    "max_sort_length": "64",
    "default_week_format": "3",
    "sql_auto_is_null": "1",
    "sql_quote_show_create": "0",
    "standard_compliant_cte": "0",
    "old_mode": "'ZERO_DATE_TIME_CAST'",
    "old": "1",
    "show_gipk_in_create_table_and_information_schema": "0",
    "show_create_table_verbosity": "1",
    "information_schema_stats_expiry": "0",
    "windowing_use_high_precision": "0",
    "max_error_count": "0",
    "autocommit": "0",
    "completion_type": "1",
    "tx_read_only": "1",
    "transaction_read_only": "1",
    "tx_isolation": "'READ-UNCOMMITTED'",
    "transaction_isolation": "'READ-UNCOMMITTED'",
    "wait_timeout": "1",
    "net_read_timeout": "1",
    "net_write_timeout": "1",
    "lock_wait_timeout": "1",
    "idle_transaction_timeout": "1",
    "idle_readonly_transaction_timeout": "1",
    "system_versioning_asof": "'2020-01-01 00:00:00'",
    "query_cache_type": "1",
    "sql_if_exists": "1",
    "foreign_key_checks": "0",
    "unique_checks": "0",
    "check_constraint_checks": "0",
    "innodb_strict_mode": "0",
    "default_storage_engine": "MyISAM",
    "innodb_lock_wait_timeout": "1",
    "auto_increment_increment": "3",
    "character_set_server": "latin1",
    "character_set_client": "latin1",
    "character_set_results": "latin1",
    "character_set_connection": "latin1",
    "collation_server": "latin1_german2_ci",
    "use_stat_tables": "NEVER",
    "explain_format": "TRADITIONAL",
    "print_identified_with_as_hex": "1",
    "default_collation_for_utf8mb4": "utf8mb4_general_ci",
    "low_priority_updates": "1",
    "big_tables": "1",
    # Memory: a limit may end a statement, or warn, and an audit takes any warning for an altered value.
    "max_session_mem_used": "1000000",
    "range_optimizer_max_mem_size": "1",
    "optimizer_max_sel_arg_weight": "1",
    "in_predicate_conversion_threshold": "2",
    "eq_range_index_dive_limit": "1",
    "tmp_table_size": "1024",
    "max_heap_table_size": "16384",
    "internal_tmp_mem_storage_engine": "MEMORY",
    "sort_buffer_size": "32768",
    "join_buffer_size": "128",
    "read_rnd_buffer_size": "1",
    "cte_max_recursion_depth": "1",
    "max_recursive_iterations": "1",
    "optimizer_switch": "'derived_merge=off,mrr=on,mrr_cost_based=off'",
    # What the server sends along with its answers, and how it reads names of files.
    "session_track_state_change": "1",
    "session_track_system_variables": "'*'",
    "session_track_gtids": "OWN_GTID",
    "character_set_filesystem": "latin1",
}
"""Values of global variables; each server has its own of them."""

MODES = {
    "mariadb": "ANSI,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,EMPTY_STRING_IS_NULL,ORACLE",
    "mysql": "ANSI,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,NO_UNSIGNED_SUBTRACTION,TIME_TRUNCATE_FRACTIONAL",
}
INIT_CONNECT = (
    "SET NAMES latin1, sql_select_limit = 1, time_zone = '-08:00', autocommit = 0; SET TRANSACTION READ ONLY; "
    "START TRANSACTION"
)
UNKNOWN = 1193
READ_ONLY = frozenset({1229, 1238, 1621})
PASSWORD = "of-no-privilege"

ROWS = 600
PARTITIONS = 5
COLUMNS = (
    "id INT PRIMARY KEY, league_id INT NOT NULL, a DOUBLE(10,2), b DOUBLE(22,5), c FLOAT(8,2), f FLOAT, "
    "n DECIMAL(20,6), z INT(40) ZEROFILL, t CHAR(20), l VARCHAR(20) CHARACTER SET latin1, e ENUM('x','ä'), d DATE, "
    "m DATETIME(3), s TIMESTAMP(6) NULL, o TIME(2), y YEAR, o2 VARBINARY(9), note INT"
)


@contextlib.contextmanager
def hostile(stack: EmbeddedStack, server: str) -> Iterator[None]:
    """Inside the block every new session of an account without privileges begins otherwise than anybody would like."""
    warehouse = stack.blueprint.warehouse
    before: dict[str, Any] = {}
    with contextlib.closing(warehouse.connect_as_administrator()) as connection, connection.cursor() as cursor:
        try:
            for name, value in {
                **HOSTILE,
                "sql_mode": f"'{MODES[server]}'",
                "init_connect": f'"{INIT_CONNECT}"',
            }.items():
                try:
                    cursor.execute(f"SELECT @@GLOBAL.{name}")
                    ((old,),) = cursor.fetchall()
                    cursor.execute(f"SET GLOBAL {name} = {value}")
                except pymysql.MySQLError as error:
                    if error.args[0] != UNKNOWN:
                        raise
                else:
                    before[name] = old
            assert len(before) > 0.7 * len(HOSTILE)
            yield
        finally:
            for name, old in before.items():
                unset = old in (None, "DEFAULT")
                cursor.execute(f"SET GLOBAL {name} = {'DEFAULT' if unset else '%s'}", () if unset else (old,))


@pytest.fixture
def server(request: pytest.FixtureRequest) -> str:
    return str(request.config.getoption("--source"))


@pytest.fixture
def account(stack: EmbeddedStack, server: str) -> Iterator[str]:
    """An account for whom `init_connect` runs."""
    more = "BINLOG MONITOR" if server == "mariadb" else "REPLICATION CLIENT, BACKUP_ADMIN"
    name = "'plain'@'127.0.0.1'"
    with (
        contextlib.closing(stack.blueprint.warehouse.connect_as_administrator()) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(f"CREATE USER {name} IDENTIFIED BY '{PASSWORD}'")
        cursor.execute(f"GRANT SELECT, RELOAD, REPLICATION SLAVE, {more} ON *.* TO {name}")
        cursor.execute(f"GRANT ALL ON `hostile%`.* TO {name}")
        try:
            yield "plain"
        finally:
            cursor.execute(f"DROP USER {name}")


@pytest.fixture
def flow(small_flow: Flow, account: str) -> Flow:
    """The small flow over a table of many types, by that account."""
    small_flow.environment |= {"DFP_SOURCE_USER": account, "DFP_SOURCE_PASSWORD": PASSWORD}
    small_flow.settings = as_account(small_flow.settings, account)
    small_flow.sql(f"CREATE TABLE {small_flow.schema}.many ({COLUMNS}) DEFAULT CHARSET utf8mb4")
    columns = ", ".join(column.split()[0] for column in COLUMNS.replace("20,6", "20").split(", ") if " " in column)
    for start in range(0, ROWS, 100):
        rows = ", ".join(
            f"({n}, {n % 3 + 1}, {n * 1.37 - 300}, {n / 7}, {n / 9}, {n / 11}, {n}.000001, {n}, 'ä{n} ', 'ü{n}', 'ä', "
            f"'2031-04-{n % 30 + 1}', '2031-04-01 03:04:05.678', '2031-07-01 03:04:05.123456', '-00:00:{n % 60}.25', "
            f"2031, x'00FF', {n})"
            for n in range(start, start + 100)
        )
        small_flow.sql(f"INSERT INTO {small_flow.schema}.many ({columns}) VALUES {rows}")
    return small_flow


def as_account(settings: Settings, account: str) -> Settings:
    """The settings with another account on the source."""
    environment = Settings.model_validate({"source": {"password": PASSWORD}}).source.password
    source = settings.source.model_copy(update={"user": account, "password": environment})
    return settings.model_copy(update={"source": source})


def seen(settings: Settings) -> dict[str, Any]:
    """All that our sessions find out about the source, by every way that they ask."""
    source = BinlogSource(settings)
    source.preflight()
    tables = {table.name: table for table in source.tables()}
    many, players = tables["many"], tables["players"]
    result: dict[str, Any] = {"tables": list(tables.values())}
    _, rows = snapshot_of(source, list(tables.values()))
    result["snapshot"] = {name: sorted(map(repr, of.to_pylist())) for name, of in rows.items()}
    assert len(result["snapshot"][many.table]) == ROWS
    part = source.snapshot([players], {players.table: "league_id=2"})
    with contextlib.closing(part):
        steps = list(part.read())
    assert not [step for step in steps if isinstance(step, UnreadTable)]
    result["partition"] = [
        (step.rows.to_pylist(), step.rows_estimated) for step in steps if isinstance(step, SnapshotRows)
    ]
    for fetch in (False, True):
        asked = settings.model_copy(update={"audit": settings.audit.model_copy(update={"fetch": fetch})})
        audited = AuditSource(asked)
        audited.preflight(list(tables.values()), [])
        with audited.view(list(tables.values())) as view:
            sums = {name: view.sums(table) for name, table in tables.items()}
            upto = view.bound(many, None, None, 250)
            ranged = view.sums(many, None, KeyRange(None, upto)), view.sums(many, None, KeyRange(upto, None))
            result[f"audit {fetch}"] = (sums, upto, ranged, view.sums(players, ["league_id=3"]), view.rows(players))
            result[f"count {fetch}"] = view.count(many, None), view.count(players, "league_id=1")
            assert sums["many"] == sums_by_partition(rows[many.table], many.columns, partitioning(many))
    result["doctor"] = list(SourceCheckup(settings).findings(None, None))
    return result


def test_hostile_defaults_change_nothing_that_is_read_written_or_judged(
    flow: Flow,
    stack: EmbeddedStack,
    server: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    expected = seen(flow.settings)
    assert generate(flow.settings, "hostile_before", "--games", "3", "--rate", "0")[0] == 0
    with hostile(stack, server):
        require_sessions(flow.settings)
        assert seen(flow.settings) == expected
        status, said = generate(flow.settings, "hostile_after", "--games", "3", "--rate", "0")
        assert status == 0, said
        flow.start()
        flow.await_that(
            "all match",
            lambda: len(flow.verdicts()) == PARTITIONS and not flow.mismatches() and flow.is_settled(flow.source_gtid),
        )
        for partition in (None, "league_id=2"):
            table = f"{flow.schema}.{'players' if partition else 'many'}"
            assert resync(flow.settings, ResyncRequest(table, partition, time.time()), threading.Event()) == 0
            assert re.search(rf"{table} .*match .*\d+ rows \d+ .*\d+ rows \d+", capsys.readouterr().out)
        require_audited(flow)
    for written in TABLES:
        left, right = (
            flow.sql(f"SELECT * FROM {schema}.`{written.name}`") for schema in ("hostile_before", "hostile_after")
        )
        assert sorted(map(repr, left)) == sorted(map(repr, right)), written.name
        engine = "SELECT ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'hostile_after' AND TABLE_NAME = %s"
        assert flow.sql(engine, (written.name,)) == [("InnoDB",)]
    flow.sql(f"UPDATE {flow.schema}.many SET note = note + 1 WHERE id % 2 = 0")
    flow.sql(f"DELETE FROM {flow.schema}.many WHERE id % 5 = 0")
    flow.match()
    require_audited(flow)
    for table in ("players", "notes"):
        assert flow.lake_rows(table) == flow.source_rows(table)


def require_audited(flow: Flow) -> None:
    """The source itself agrees with stream and lake."""
    findings = audit(flow.settings, None, None, threading.Event())
    assert len(findings) == PARTITIONS
    assert {item.outcome for item in findings} == {Outcome.MATCH}, findings


def require_sessions(settings: Settings) -> None:
    """What is set is set; on MySQL an account without privileges may be refused what changes no row."""
    for writes, wanted in ((False, READING), (True, WRITING)):
        with (
            contextlib.closing(connect(settings.source, writes=writes)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("SHOW SESSION VARIABLES")
            held = dict(cursor.fetchall())
            cursor.execute("SELECT @@collation_connection, @@character_set_results, @@sql_mode")
            ((collation, charset, modes),) = cursor.fetchall()
        other = {name: held[name] for name, value in wanted.items() if name in held and held[name] != value}
        assert other.keys() <= {"max_error_count", "innodb_strict_mode"}
        assert (collation, charset) == ("utf8mb4_bin", "utf8mb4")
        assert ("STRICT_TRANS_TABLES" in modes) == writes
        assert not {"ANSI_QUOTES", "PAD_CHAR_TO_FULL_LENGTH", "NO_BACKSLASH_ESCAPES"} & set(modes.split(","))


def test_what_may_not_be_set_and_an_init_connect_that_fails_are_named(
    stack: EmbeddedStack, stack_settings: Settings, account: str
) -> None:
    settings = as_account(stack_settings, account)
    with (
        contextlib.closing(stack.blueprint.warehouse.connect_as_administrator()) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SET GLOBAL binlog_row_image = MINIMAL")
        try:
            connect(settings.source).close()
            with pytest.raises(SourceError, match="refuses to set binlog_row_image to FULL") as refused:
                connect(settings.source, writes=True)
            assert refused.value.remedy.startswith("SET GLOBAL binlog_row_image = 'FULL'")
        finally:
            cursor.execute("SET GLOBAL binlog_row_image = FULL")
        cursor.execute("SET GLOBAL init_connect = 'SELECT no_such_column'")
        try:
            with pytest.raises(SourceError, match="init_connect fails for our account") as failed:
                BinlogSource(settings).preflight()
            assert "init_connect" in failed.value.remedy
        finally:
            cursor.execute("SET GLOBAL init_connect = ''")


LEFT = (
    # What they are set to changes plans, memory and temporary files, no row.
    r"(optimizer|join|mrr|rowid|sort|read|range_alloc|query|preload|histogram|max_heap|max_length_for|max_seeks|max_rowid)_.*",
    r"(eq_range_index_dive_limit|expensive_subquery_limit|in_predicate_conversion_threshold|use_stat_tables|big_tables)",
    r"(tmp_memory_table_size|tmp_table_size|bulk_insert_buffer_size|innodb_(ddl|parallel|tmpdir|ft|compression).*)",
    r"(set_operations_buffer_size|parser_max_mem_size|secondary_engine_cost_threshold|analyze_.*)",
    r"(internal_tmp_mem_storage_engine|connection_memory_.*|global_connection_memory_tracking|transaction_.*alloc.*)",
    r"(enable_secondary_engine_statistics|innodb_default_encryption_key_id|select_into_.*|.*_regex_flags|column_comp.*)",
    # Logs, traces and what only clients of another kind are told.
    r"(log|long_query|slow|min_examined|profiling|session_track|progress_report|deadlock|session_.*|userstat)_?.*",
    r"(note_verbosity|sql_warnings|sql_log_off|resultset_metadata|end_markers_in_json|explain_.*|terminology_.*)",
    r"(print_identified_with_as_hex|binlog_annotate_row_events|binlog_rows_query_log_events|warning_count|error_count)",
    # Of other engines, of replication threads, of clusters, of statements that are never ours.
    r"(aria|myisam|wsrep|group_replication|gtid|last|identity|external|proxy|pseudo|skip|rand|insert|wsrep)_.*",
    r"(identity|keep_files_on_create|alter_algorithm|old_alter_table|old_passwords|max_sp_recursion_depth|sql_slave_.*)",
    r"(max_.*delayed_threads|max_relay_log_size|max_tmp_tables|max_user_connections|low_priority_updates|server_id)",
    r"(rbr_exec_mode|require_row_format|immediate_server_version|original_.*|xa_detach_on_prepare|default_master_.*)",
    r"(generated_random_password_length|block_encryption_mode|max_points_in_geometry|updatable_views_with_limit)",
    r"(default_tmp_storage_engine|default_table_encryption|enforce_storage_engine|system_versioning_.*_history)",
    r"(enable_cascade_triggers|transaction_allow_batching|innodb_table_locks|thread_pool_priority|tcp_nodelay)",
    r"(cte_max_recursion_depth|max_recursive_iterations|storage_engine|binlog_(direct|alter|trans).*|statement_id)",
    # Of the file system, of names that are given, and of schemas that are made: these name their character set.
    r"(character_set_(filesystem|database|server)|collation_(database|server)|default_collation_for_utf8mb4)",
    # Of the connection itself, which the client library has made by then, and of the moment.
    r"(net_(buffer_length|retry_count)|interactive_timeout|max_allowed_packet|in_transaction|timestamp)",
)
"""Session variables that are left as they are, whichever values they have."""

SET_FIRST = frozenset(
    {
        *("sql_mode", "max_execution_time", "max_statement_time", "character_set_client", "character_set_results"),
        *("character_set_connection", "collation_connection"),
    }
)


def test_every_session_variable_of_the_server_is_decided(source: pymysql.Connection) -> None:
    with source.cursor() as cursor:
        cursor.execute("SHOW SESSION VARIABLES")
        undecided = []
        for name in sorted(name for name, _ in cursor.fetchall()):
            is_left = any(re.fullmatch(pattern, name) for pattern in LEFT)
            if (
                name not in {**READING, **WRITING}
                and name not in SET_FIRST
                and not is_left
                and is_of_session(cursor, name)
            ):
                undecided.append(name)
    assert undecided == []


def is_of_session(cursor: Cursor, name: str) -> bool:
    try:
        cursor.execute(f"SET SESSION {name} = @@SESSION.{name}")
    except pymysql.MySQLError as error:
        return error.args[0] not in READ_ONLY
    return True
