"""The audit's service on real servers: asked for, killed, paused, refused; and what it finds that no binlog shows."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.cursors import DictCursor

from commands.resync.__main__ import run as resync
from datafingerprint.adapters.mysql.audit_source import AuditSource
from datafingerprint.adapters.mysql.audit_view import SourceView
from datafingerprint.adapters.mysql.source import BinlogSource
from datafingerprint.audit import Finding, Hop
from datafingerprint.audits import LEASE_S, AuditState, Origin, Scope, StoredAudit
from datafingerprint.config import Settings
from datafingerprint.errors import SourceError, UnmeasuredError
from datafingerprint.gtid import has_reached
from datafingerprint.resync import ResyncRequest
from datafingerprint.schema import TableSchema
from datafingerprint.sql.mysql_ranges import KeyRange
from datafingerprint.verdict import Outcome
from deploy.embedded.ports import free_ports
from deploy.embedded.private import socket_folder
from deploy.embedded.process import Process
from deploy.embedded.stack import EmbeddedStack
from deploy.embedded.waiting import await_condition
from deploy.embedded.warehouse import Warehouse
from services.auditor.__main__ import run as audit
from services.auditor.journal import AuditStep
from tests.flow.running import Flow

pytestmark = pytest.mark.live

SLOW = {"DFP_AUDIT_RANGE_ROWS": "10", "DFP_AUDIT_ROWS_S_MAX": "20", "DFP_AUDIT_EVERY_S": "0"}
"""Every partition alone, in two ranges, each followed by half a second of rest."""


@pytest.fixture
def flow(standing_flow: Flow) -> Iterator[Flow]:
    """The module's flow: settled, and every partition matches."""
    standing_flow.settle()
    standing_flow.await_that("all match", lambda: not standing_flow.mismatches())
    yield standing_flow
    auditor = standing_flow.service("auditor", "--serve")
    if auditor.is_running:
        auditor.kill()


def scope(flow: Flow) -> Scope:
    return Scope(f"{flow.schema}.players")


def asked(flow: Flow) -> int:
    with flow.state() as store:
        return store.queue_audit(scope(flow), Origin.REQUEST, time.time())


def stored(flow: Flow, number: int) -> StoredAudit:
    with flow.state() as store:
        audit = store.audit(number)
    assert audit is not None
    return audit


def found(flow: Flow, number: int) -> list[Finding]:
    with flow.state() as store:
        return list(store.findings(number))


def await_audit(flow: Flow, number: int, holds: Callable[[StoredAudit], bool], within_s: float = 60.0) -> StoredAudit:
    await_condition(lambda: holds(stored(flow, number)), timeout_s=within_s, pause_s=0.05)
    assert holds(stored(flow, number)), (stored(flow, number), flow.service("auditor").text[-2000:])
    return stored(flow, number)


def with_audit(settings: Settings, **more: Any) -> Settings:  # noqa: ANN401 - values of any setting
    return settings.model_copy(update={"audit": settings.audit.model_copy(update=more)})


def outcomes(settings: Settings, table: str) -> dict[str | None, tuple[Outcome, tuple[Hop, ...]]]:
    return {
        finding.partition: (finding.outcome, finding.hops)
        for finding in audit(settings, table, None, threading.Event())
    }


def test_an_audit_that_is_killed_half_way_is_gone_on_with_and_measures_nothing_twice(flow: Flow) -> None:
    auditor = flow.service("auditor", "--serve")
    auditor.start(**SLOW)
    number = asked(flow)
    await_audit(flow, number, lambda item: 1 <= item.progress.partitions_done < 3)
    auditor.kill()
    first = found(flow, number)
    assert stored(flow, number).state is AuditState.RUNNING
    assert 1 <= len(first) < 3
    killed_at = time.time()
    flow.sql(f"UPDATE {flow.schema}.players SET rating = rating + 1 WHERE player_id = 301")
    auditor.start(**SLOW)
    done = await_audit(flow, number, lambda item: item.state.is_over)
    assert time.time() - killed_at < LEASE_S + 60
    assert (done.state, done.outcome, done.progress.partitions_done, done.progress.partitions) == (
        AuditState.DONE, Outcome.MATCH, 3, 3,
    )  # fmt: skip
    last = found(flow, number)
    assert last[: len(first)] == first
    assert {item.at.position.gtid for item in last if item.at} > {item.at.position.gtid for item in first if item.at}
    assert {item.outcome for item in last} == {Outcome.MATCH}


def test_it_pauses_for_a_real_load_and_goes_on_after_it(flow: Flow) -> None:
    auditor = flow.service("auditor", "--serve")
    auditor.start(DFP_AUDIT_THREADS_RUNNING_MAX="6", DFP_AUDIT_EVERY_S="0")
    auditor.await_saying("event=auditing")
    with busy(flow.stack.blueprint.warehouse, threads=12):
        number = asked(flow)
        paused = await_audit(flow, number, lambda item: item.state is AuditState.PAUSED)
        assert "threads run on the server, above 6" in paused.reason
        assert found(flow, number) == []
    done = await_audit(flow, number, lambda item: item.state.is_over)
    assert (done.state, done.reason, done.outcome) == (AuditState.DONE, "", Outcome.MATCH)


@contextlib.contextmanager
def busy(warehouse: Warehouse, threads: int) -> Iterator[None]:
    """So many statements that run until the block ends."""
    connections = [warehouse.connect() for _ in range(threads)]

    def wait(connection: pymysql.Connection) -> None:
        with contextlib.suppress(Exception), connection.cursor() as cursor:
            cursor.execute("SELECT SLEEP(600)")

    runners = [threading.Thread(target=wait, args=(item,)) for item in connections]
    for runner in runners:
        runner.start()
    try:
        yield
    finally:
        with contextlib.closing(warehouse.connect_as_administrator()) as killer, killer.cursor() as cursor:
            for connection in connections:
                cursor.execute(f"KILL {connection.thread_id()}")
        for runner in runners:
            runner.join()


def test_the_schedule_audits_every_table_round_and_round(flow: Flow) -> None:
    auditor = flow.service("auditor", "--serve")
    auditor.start(DFP_AUDIT_EVERY_S="1")

    def rounds() -> int:
        with flow.state() as store:
            done = [
                item.scope.table
                for item in store.audits(limit=50)
                if item.origin is Origin.SCHEDULE and item.state is AuditState.DONE and item.outcome is Outcome.MATCH
            ]
        return min(done.count(f"{flow.schema}.{table}") for table in ("players", "notes"))

    await_condition(lambda: rounds() >= 2, timeout_s=60)
    assert rounds() >= 2, auditor.text[-2000:]


def test_rows_that_a_cascade_took_are_found_where_the_binlog_has_them_not(flow: Flow) -> None:
    """MySQL logs them since 9.6; MariaDB does not. A resync of the partition heals it."""
    is_logged = flow.stack.blueprint.source == "mysql"
    schema, settings = flow.schema, flow.settings
    flow.sql(f"CREATE TABLE {schema}.teams (team_id INT PRIMARY KEY, league_id INT NOT NULL)")
    flow.sql(
        f"CREATE TABLE {schema}.coaches (coach_id INT PRIMARY KEY, team_id INT NOT NULL, name VARCHAR(40), "
        f"FOREIGN KEY (team_id) REFERENCES {schema}.teams (team_id) ON DELETE CASCADE)"
    )
    flow.sql(f"INSERT INTO {schema}.teams VALUES (1, 1), (2, 1)")
    flow.sql(f"INSERT INTO {schema}.coaches VALUES (1, 1, 'a'), (2, 1, 'b'), (3, 2, 'c')")
    table = f"{schema}.coaches"
    flow.await_that("the tables are followed", lambda: (table, "-") in flow.verdicts())
    flow.settle()
    flow.await_that("all match", lambda: not flow.mismatches())
    try:
        flow.sql(f"DELETE FROM {schema}.teams WHERE team_id = 1")
        flow.settle()
        (gap,) = audit(settings, table, None, threading.Event())
        if is_logged:
            assert (gap.outcome, gap.hops) == (Outcome.MATCH, ())
            return
        assert (gap.outcome, gap.hops) == (Outcome.MISMATCH, (Hop.CAPTURE,))
        assert gap.reason == "the stream has 2 rows too many"
        assert "cascade" in flow.mismatches()[table, "-"]
        assert resync(settings, ResyncRequest(table, None, time.time()), threading.Event()) == 0
        assert outcomes(settings, table) == {"-": (Outcome.MATCH, ())}
        assert flow.lake_rows("coaches") == flow.source_rows("coaches")
    finally:
        # What is left is emptied row by row: a watched table that is dropped stops capture.
        flow.sql(f"DELETE FROM {schema}.coaches")
        flow.sql(f"DELETE FROM {schema}.teams")


def test_a_row_that_the_server_cannot_render_makes_its_sum_inconclusive(flow: Flow) -> None:
    """It becomes NULL with a warning, and a NULL would be left out of the digest."""
    schema = f"{flow.schema}_long"
    with contextlib.closing(flow.stack.blueprint.warehouse.connect_as_administrator()) as root, root.cursor() as cursor:
        cursor.execute("SELECT @@GLOBAL.max_allowed_packet")
        ((before,),) = cursor.fetchall()
        cursor.execute("SET SESSION sql_log_bin = 0")  # capture stops at a schema that is dropped
        cursor.execute(f"CREATE DATABASE {schema}")
        try:
            cursor.execute(f"CREATE TABLE {schema}.t (k INT PRIMARY KEY, x TEXT)")
            cursor.execute(f"INSERT INTO {schema}.t VALUES (1, 'short'), (2, REPEAT('x', 5000))")
            root.commit()
            source = flow.settings.source.model_copy(update={"tables": (f"{schema}.*",)})
            settings = flow.settings.model_copy(update={"source": source, "tables": {}})
            tables = BinlogSource(settings).tables()
            cursor.execute("SET GLOBAL max_allowed_packet = 4096")
            with AuditSource(settings).view(tables) as view, pytest.raises(UnmeasuredError, match="warning 1301"):
                view.sums(tables[0])
        finally:
            cursor.execute(f"SET GLOBAL max_allowed_packet = {before}")
            cursor.execute(f"DROP DATABASE {schema}")


def test_ranges_of_any_fit_key_add_up_to_the_whole(flow: Flow) -> None:
    """For every kind of key, ranges follow the server's own order, and every row is in one range."""
    schema = f"{flow.schema}_keys"
    keys = {
        "signed": ("INT", "-50 + 7 * n"),
        "unsigned": ("BIGINT UNSIGNED ZEROFILL", "18446744073709551615 - n"),
        "exact": ("DECIMAL(30, 5)", "n / 7 - 3"),
        "day": ("DATE", "'1999-12-25' + INTERVAL n DAY"),
        "moment": ("DATETIME(6)", "'1999-12-31 23:59:59.999990' + INTERVAL n MICROSECOND"),
        "stamp": ("TIMESTAMP(3)", "'2001-01-01' + INTERVAL n SECOND"),
        "span": ("TIME(2)", "SEC_TO_TIME(n * 97.25 - 800)"),
        "octets": ("BINARY(3)", "UNHEX(LPAD(HEX(n * 5), 6, '0'))"),
        "string": ("VARBINARY(9)", "CONCAT('a', CHAR(n + 1))"),
    }
    made = [f"CREATE DATABASE {schema}"]
    for name, (kind, value) in keys.items():
        made.append(f"CREATE TABLE {schema}.{name} (k {kind} NOT NULL PRIMARY KEY, n INT, day DATE)")
        made += [
            f"INSERT INTO {schema}.{name} SELECT {value}, n, '2031-12-30' + INTERVAL n DAY FROM (SELECT {n} n) one"
            for n in range(23)
        ]
    try:
        administer(flow.stack.blueprint.warehouse, "SET SESSION sql_log_bin = 0", *made)
        settings = flow.settings.model_copy(
            update={
                "source": flow.settings.source.model_copy(update={"tables": (f"{schema}.*",)}),
                "tables": Settings.model_validate(
                    {"tables": {f"{schema}.{name}": {"partition": ["month(day)"]} for name in keys}}
                ).tables,
            }
        )
        tables = BinlogSource(settings).tables()
        assert len(tables) == len(keys)
        for fetch in (False, True):
            with AuditSource(with_audit(settings, fetch=fetch)).view(tables) as view:
                for table in tables:
                    whole = view.sums(table)
                    assert {name: part.rows for name, part in whole.items()} == view.rows(table)
                    assert sorted(whole) == ["day_month=2031-12", "day_month=2032-01"]
                    assert whole == {name: view.sums(table, [name])[name] for name in whole}
                    assert view.sums(table, list(whole)) == whole
                    ranges = list(cut(view, table, "day_month=2032-01", 4))
                    assert len(ranges) == 6
                    parts = [view.sums(table, ["day_month=2032-01"], range_) for range_ in ranges]
                    assert [part["day_month=2032-01"].rows for part in parts if part] == [4, 4, 4, 4, 4, 1]
                    assert (
                        sum((p["day_month=2032-01"] for p in parts[1:]), parts[0]["day_month=2032-01"])
                        == whole["day_month=2032-01"]
                    )
    finally:
        administer(flow.stack.blueprint.warehouse, "SET SESSION sql_log_bin = 0", f"DROP DATABASE IF EXISTS {schema}")


def test_a_statement_that_runs_is_ended_from_another_thread(flow: Flow) -> None:
    tables = [table for table in BinlogSource(flow.settings).tables() if table.name == "notes"]
    with AuditSource(flow.settings).view(tables) as view:
        told: list[Exception | None] = []

        def ask() -> None:
            try:
                # Rows without end, as far as anybody will wait.
                numbers = "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 500)"
                view._query(f"{numbers} SELECT COUNT(*) FROM n a, n b, n c, n d WHERE a.i + b.i * c.i <> d.i - 7")
                told.append(None)
            except UnmeasuredError as error:
                told.append(error)

        asking = threading.Thread(target=ask)
        asking.start()

        def is_ended() -> bool:
            view.abort()
            return bool(told)

        await_condition(is_ended, timeout_s=60, pause_s=0.5)
        asking.join(60)
    assert "ended the statement" in str(told[0])


def cut(view: SourceView, table: TableSchema, partition: str, rows: int) -> Iterator[KeyRange]:
    after = None
    while True:
        upto = view.bound(table, [partition], after, rows)
        yield KeyRange(after, upto)
        if upto is None:
            return
        after = upto


@pytest.mark.only("mysql")
def test_a_server_without_digests_is_refused_with_what_mends_it_and_can_be_fetched_from(flow: Flow) -> None:
    component = "'file://component_classic_hashing'"
    table = f"{flow.schema}.players"
    with contextlib.closing(flow.stack.blueprint.warehouse.connect_as_administrator()) as root, root.cursor() as cursor:
        cursor.execute("SET SESSION sql_log_bin = 0")
        cursor.execute(f"UNINSTALL COMPONENT {component}")
        try:
            with pytest.raises(SourceError, match=r"no MD5\(\).*INSTALL COMPONENT .*--fetch"):
                audit(flow.settings, table, None, threading.Event())
            fetched = outcomes(with_audit(flow.settings, fetch=True), table)
        finally:
            cursor.execute(f"INSTALL COMPONENT {component}")
    assert set(fetched.values()) == {(Outcome.MATCH, ())}
    assert fetched == outcomes(flow.settings, table)


def test_a_server_that_is_not_the_source_is_refused_and_its_replica_is_audited(flow: Flow, tmp_path: Path) -> None:
    source = flow.stack.blueprint.warehouse
    table = f"{flow.schema}.players"
    with another_server(flow.stack, tmp_path) as other:
        elsewhere = with_audit(flow.settings, host="127.0.0.1", port=other.port)
        if flow.stack.blueprint.source == "mariadb":
            with pytest.raises(SourceError, match=r"GRANT REPLICA MONITOR ON \*\.\*"):
                audit(elsewhere, table, None, threading.Event())
            account = f"'{other.user}'@'127.0.0.1'"
            administer(other, "SET SESSION sql_log_bin = 0", f"GRANT REPLICA MONITOR ON *.* TO {account}")
        administer(other, "CREATE DATABASE elsewhere", "CREATE TABLE elsewhere.t (a INT)")
        with pytest.raises(SourceError, match="neither the stream's source nor a replica of it"):
            audit(elsewhere, table, None, threading.Event())
        replicate(source, other, flow)
        # It applies all that other tests did to the source before.
        assert await_condition(lambda: is_caught_up(source, other), timeout_s=300), replication_of(other, flow)
        assert set(outcomes(elsewhere, table).values()) == {(Outcome.MATCH, ())}
        administer(
            other,
            "SET SESSION sql_log_bin = 0",
            f"UPDATE {table} SET name = 'otherwise' WHERE player_id = 301",
        )
        assert outcomes(elsewhere, table)["league_id=3"] == (Outcome.MISMATCH, (Hop.CAPTURE,))
        administer(other, *STOP_APPLYING[flow.stack.blueprint.source])
        seen: list[str] = []
        stop = threading.Event()

        def watch(step: AuditStep) -> None:
            if step.pause:
                seen.append(step.pause)
                stop.set()

        audit(elsewhere, table, None, stop, watch=watch)
        assert seen == ["the replica does not replicate"]


STOP_APPLYING = {"mariadb": ["STOP SLAVE"], "mysql": ["STOP REPLICA"]}


@contextlib.contextmanager
def another_server(stack: EmbeddedStack, directory: Path) -> Iterator[Warehouse]:
    """A second server of the same kind, with a number of its own."""
    source = stack.blueprint.warehouse
    (port,) = free_ports(1)
    other = type(source)(
        directory=directory / "other",
        port=port,
        sockets=socket_folder(directory),
        user=source.user,
        password=source.password,
    )
    other.prepare()
    numbered = [item if not item.startswith("--server-id=") else "--server-id=2" for item in other.command()]
    process = Process(
        [*numbered, "--log-slave-updates" if stack.blueprint.source == "mariadb" else "--log-replica-updates"],
        directory / "other.log",
    )
    try:
        await_condition(lambda: not process.is_running or other.is_ready(), timeout_s=60)
        assert other.is_ready(), (directory / "other.log").read_text()[-2000:]
        yield other
    finally:
        process.stop()


def administer(server: Warehouse, *statements: str) -> None:
    with contextlib.closing(server.connect_as_administrator()) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        connection.commit()


def replicate(source: Warehouse, replica: Warehouse, flow: Flow) -> None:
    """Makes a server a replica, from the source's first transaction on."""
    administer(replica, "SET GLOBAL sync_binlog = 0", "SET GLOBAL innodb_flush_log_at_trx_commit = 0")
    if flow.stack.blueprint.source == "mariadb":
        administer(
            replica,
            "RESET MASTER",
            f"CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {source.port}, MASTER_USER = '{source.user}', "
            f"MASTER_PASSWORD = '{source.password}', MASTER_USE_GTID = slave_pos",
            "START SLAVE",
        )
    else:
        administer(
            replica,
            "RESET BINARY LOGS AND GTIDS",
            f"CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {source.port}, "
            f"SOURCE_USER = '{source.user}', SOURCE_PASSWORD = '{source.password}', SOURCE_AUTO_POSITION = 1, "
            "GET_SOURCE_PUBLIC_KEY = 1",
            "START REPLICA",
        )


def skip_failed(replica: Warehouse) -> None:
    """Passes over changes of other tests that a replica cannot apply, such as of a name in another charset."""
    with replica.connect_as_administrator() as connection, connection.cursor(DictCursor) as cursor:
        cursor.execute("SELECT VERSION() v")
        (version,) = cursor.fetchall()
        if "MariaDB" not in version["v"]:
            return
        cursor.execute("SHOW SLAVE STATUS")
        (status,) = cursor.fetchall()
        if status["Last_SQL_Errno"]:
            assert "audit_service_live" not in status["Last_SQL_Error"], status["Last_SQL_Error"]
            cursor.execute("STOP SLAVE")
            cursor.execute("SET GLOBAL sql_slave_skip_counter = 1")
            cursor.execute("START SLAVE")


def replication_of(replica: Warehouse, flow: Flow) -> str:
    """What a replica says of its replication."""
    statement = "SHOW SLAVE STATUS" if flow.stack.blueprint.source == "mariadb" else "SHOW REPLICA STATUS"
    with replica.connect_as_administrator() as connection, connection.cursor(DictCursor) as cursor:
        cursor.execute(statement)
        return str([{name: value for name, value in row.items() if "rror" in name} for row in cursor.fetchall()])


def is_caught_up(source: Warehouse, replica: Warehouse) -> bool:
    skip_failed(replica)
    return has_reached(replica.gtid(), source.gtid())
