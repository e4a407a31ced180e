"""Tables that cannot be carried stand beside good ones: each is set aside by itself, with a reason, and comes back."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping

import pytest

from api.fingerprints import fingerprints
from api.status import MessageLag, status
from datafingerprint.verdict import Outcome
from services.auditor.__main__ import run as audit
from tests.flow.running import Flow

pytestmark = pytest.mark.live

WITHIN_S = 90.0

BEFORE = {
    "myisam": ("CREATE TABLE {0}.myisam (id INT PRIMARY KEY) ENGINE=MyISAM", "base table in MyISAM"),
    "memory": ("CREATE TABLE {0}.memory (id INT PRIMARY KEY) ENGINE=MEMORY", "base table in MEMORY"),
    "csv": ("CREATE TABLE {0}.csv (id INT NOT NULL) ENGINE=CSV", "base table in CSV"),
    "merged": (
        "CREATE TABLE {0}.merged (id INT NOT NULL) ENGINE=MRG_MyISAM UNION=(myisam)",
        "base table in MRG_M",
    ),
    "zero_key": ("CREATE TABLE {0}.zero_key (d DATE PRIMARY KEY, n INT)", "holds an impossible date"),
    "zero_time": ("CREATE TABLE {0}.zero_time (d DATETIME, n INT, PRIMARY KEY (d, n))", "key column d of"),
    "octets": ("CREATE TABLE {0}.octets (id INT PRIMARY KEY, w VARCHAR(9) CHARACTER SET cp1251)", "cp1251"),
    "split": ("CREATE TABLE {0}.split (id INT PRIMARY KEY, note TEXT)", "year(note)"),
    "lacking": ("CREATE TABLE {0}.lacking (id INT PRIMARY KEY)", "names nothing, which is not a column"),
    "keyless": ("CREATE TABLE {0}.keyless (id INT PRIMARY KEY)", "which is part of the primary key"),
    "no_text": ("CREATE TABLE {0}.no_text (id INT PRIMARY KEY, n INT)", "only texts can be carried as bytes"),
}
"""Tables that are there when capture starts, and what is said of them."""

MYSQL_ONLY = {
    "hole": ("CREATE TABLE {0}.hole (id INT PRIMARY KEY) ENGINE=BLACKHOLE", "base table in BLACKHOLE"),
    "archived": ("CREATE TABLE {0}.archived (id INT) ENGINE=ARCHIVE", "base table in ARCHIVE"),
}

MARIADB_ONLY = {
    "history": ("CREATE TABLE {0}.history (id INT PRIMARY KEY) WITH SYSTEM VERSIONING", "system versioned"),
    "aria": ("CREATE TABLE {0}.aria (id INT PRIMARY KEY) ENGINE=Aria", "base table in Aria"),
}

ROWS = (
    "INSERT INTO {0}.myisam VALUES (1)",
    "INSERT INTO {0}.zero_key VALUES ('0000-00-00', 1), ('2031-01-01', 2)",
    "INSERT INTO {0}.zero_time VALUES ('2031-02-00 00:00:00', 1)",
    "INSERT INTO {0}.octets VALUES (1, x'98')",
    "INSERT INTO {0}.split VALUES (1, 'a')",
)

MENDED = (
    "ALTER TABLE {0}.myisam ENGINE=InnoDB",
    "ALTER TABLE {0}.memory ENGINE=InnoDB",
    "ALTER TABLE {0}.csv ENGINE=InnoDB",
    "DELETE FROM {0}.zero_key WHERE n = 1",
    "DELETE FROM {0}.zero_time",
    "UPDATE {0}.octets SET w = 'a'",
    "ALTER TABLE {0}.turned ENGINE=InnoDB",
    "ALTER TABLE {0}.late ENGINE=InnoDB",
    "DELETE FROM {0}.dated WHERE n = 0",
)


class Load(threading.Thread):
    """Changes rows of `players`, which is supported, until it is stopped."""

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self.ended = threading.Event()
        self._flow = flow

    def run(self) -> None:
        number = 10_000
        with contextlib.closing(self._flow.stack.blueprint.warehouse.connect()) as connection:
            while not self.ended.wait(0.01):
                number += 1
                with connection.cursor() as cursor:
                    cursor.execute(
                        f"INSERT INTO {self._flow.schema}.players (player_id, league_id) VALUES (%s, 1)", (number,)
                    )
                    cursor.execute(f"DELETE FROM {self._flow.schema}.players WHERE player_id = %s", (number - 9,))
                connection.commit()


@contextlib.contextmanager
def loaded(flow: Flow) -> Iterator[None]:
    load = Load(flow)
    load.start()
    try:
        yield
    finally:
        load.ended.set()
        load.join()


def reasons(flow: Flow) -> Mapping[str, str]:
    """What REST says of the tables that do not match, by their names."""
    with flow.state() as store, store.reading() as view:
        items = fingerprints(view).items
        assert not [item.table for item in items if item.verdict == Outcome.MISMATCH.value]
        return {
            item.table.partition(".")[2]: item.reason or ""
            for item in items
            if item.verdict == Outcome.INCONCLUSIVE.value
        }


def set_aside(flow: Flow) -> Mapping[str, str]:
    with flow.state() as store, store.reading() as view:
        result = status(view, MessageLag({}), 0.0, 60.0).set_aside
        return {name.partition(".")[2]: reason for name, reason in result.items()}


def matching(flow: Flow) -> set[str]:
    with flow.state() as store, store.reading() as view:
        return {
            item.table.partition(".")[2] for item in fingerprints(view).items if item.verdict == Outcome.MATCH.value
        }


def unlax(flow: Flow, *statements: str) -> None:
    """Runs statements in a session that takes any date."""
    with contextlib.closing(flow.stack.blueprint.warehouse.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_mode = ''")
        cursor.execute(f"USE {flow.schema}")
        for statement in statements:
            cursor.execute(statement.format(flow.schema))
        connection.commit()


def require_progress(flow: Flow) -> None:
    """The good tables are judged at what the source has committed by now, and match there."""
    moment = flow.source_moment if flow.source_gtid.count("-") == 2 else None

    def has_come() -> bool:
        if moment is None:
            return "players" in matching(flow)
        return int((flow.judged_gtid().split("-")[-1]) or 0) >= moment and "players" in matching(flow)

    flow.await_that("the good tables go on", has_come, within_s=20)


def is_mariadb(flow: Flow) -> bool:
    return "mariadb" in str(flow.sql("SELECT VERSION()")[0][0]).lower()


def write_settings(flow: Flow) -> None:
    """Settings that are invalid for single tables."""
    with (flow.directory / "datafingerprint.toml").open("a", encoding="utf-8") as file:
        file.write(
            f'[tables."{flow.schema}.split"]\npartition = ["year(note)"]\n'
            f'[tables."{flow.schema}.lacking"]\nleave_out = ["nothing"]\n'
            f'[tables."{flow.schema}.keyless"]\nleave_out = ["id"]\n'
            f'[tables."{flow.schema}.no_text"]\nas_bytes = ["n"]\n'
        )


@pytest.fixture
def quick_flow(small_flow: Flow) -> Flow:
    small_flow.environment |= {
        "DFP_CDC_EPOCH_S": "0.3",
        "DFP_CDC_HEARTBEAT_S": "0.5",
        "DFP_CDC_RETRY_S": "1",
        "DFP_LAKE_FLUSH_S": "0.3",
    }
    return small_flow


def test_twenty_kinds_of_unfit_tables_hold_nobody_up_and_come_back(quick_flow: Flow) -> None:
    flow = quick_flow
    unfit = {**BEFORE, **(MARIADB_ONLY if is_mariadb(flow) else MYSQL_ONLY)}
    for create, _ in unfit.values():
        unlax(flow, create)
    unlax(flow, *ROWS)
    unlax(
        flow,
        "CREATE TABLE {0}.turned (id INT PRIMARY KEY)",
        "INSERT INTO {0}.turned VALUES (1)",
        "CREATE TABLE {0}.dated (d DATE, n INT, PRIMARY KEY (d, n))",
        "INSERT INTO {0}.dated VALUES ('2031-01-01', 1)",
        "CREATE TABLE {0}.altered (id INT PRIMARY KEY, n INT, gone INT)",
        "INSERT INTO {0}.altered VALUES (1, 2, 3)",
        "CREATE TABLE {0}.partial (id INT PRIMARY KEY, n INT)",
        "INSERT INTO {0}.partial VALUES (1, 2)",
    )
    write_settings(flow)
    good = {"players", "notes", "turned", "dated", "altered", "partial"}
    with loaded(flow):
        flow.start()
        flow.await_that("all unfit ones are set aside", lambda: set_aside(flow).keys() == unfit.keys())
        flow.await_that("the good ones match", lambda: matching(flow) == good)
        flow.await_that("the verdicts say why", lambda: reasons(flow).keys() == unfit.keys())
        for name, (_, why) in unfit.items():
            assert why in reasons(flow)[name], name
        require_progress(flow)
        while_it_runs(flow)
        require_progress(flow)
        flow.service("cdc").kill()
        flow.service("cdc").start()
        flow.await_that("what was set aside still is", lambda: set_aside(flow).keys() >= unfit.keys())
        require_progress(flow)
        unlax(flow, *MENDED)
        mended = {"myisam", "memory", "csv", "zero_key", "zero_time", "octets", "turned", "late", "dated"}
        if is_mariadb(flow):
            unlax(flow, "ALTER TABLE {0}.history DROP SYSTEM VERSIONING")
            mended.add("history")
        flow.await_that("the mended ones match", lambda: matching(flow) >= good | mended)
        flow.await_that("the others do not", lambda: set_aside(flow).keys() == unfit.keys() - mended)
        require_progress(flow)
    # Of what is still set aside nothing is audited.
    tables = [name for name in matching(flow) if flow.sql(f"SELECT 1 FROM {flow.schema}.{name} LIMIT 1")]
    flow.await_that("all is judged", lambda: flow.judged_gtid() == flow.source_gtid)
    for table in tables:
        findings = audit(flow.settings, f"{flow.schema}.{table}", None, threading.Event())
        assert {item.outcome for item in findings} <= {Outcome.MATCH}, table
        assert flow.lake_rows(table) == flow.source_rows(table), table
    assert flow.service("cdc").text.count("event=started") == 2
    assert not [line for line in flow.service("cdc").text.splitlines() if "event=unavailable" in line]


def while_it_runs(flow: Flow) -> None:
    """Tables that were good are so no longer, and new ones come that are not."""
    unlax(
        flow,
        "ALTER TABLE {0}.turned ENGINE=MyISAM",
        "INSERT INTO {0}.turned VALUES (2)",
        "CREATE TABLE {0}.late (id INT PRIMARY KEY) ENGINE=MyISAM",
        "INSERT INTO {0}.late VALUES (1)",
        "INSERT INTO {0}.dated VALUES ('0000-00-00', 0)",
        "ALTER TABLE {0}.altered DROP COLUMN gone, ADD more INT NOT NULL DEFAULT 5",
        "INSERT INTO {0}.altered VALUES (2, 3, 4)",
    )
    with flow.stack.blueprint.warehouse.connect_as_administrator() as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION binlog_row_image = MINIMAL")
        cursor.execute(f"UPDATE {flow.schema}.partial SET n = 3")
        connection.commit()
    flow.service("cdc").await_saying("a row image lacks columns")
    flow.await_that("three more are set aside", lambda: {"turned", "late", "dated"} <= set_aside(flow).keys())
    flow.await_that("two come back by themselves", lambda: {"altered", "partial"} <= matching(flow))
    flow.await_that("the verdict says why", lambda: {"turned", "late", "dated"} <= reasons(flow).keys())
    assert "base table in MyISAM" in reasons(flow)["turned"]
    assert "key column d of" in reasons(flow)["dated"]


NARROW = "narrow"


def administer(flow: Flow, *statements: str) -> None:
    with flow.stack.blueprint.warehouse.connect_as_administrator() as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture
def empty_flow(
    flow: Flow,
) -> Iterator[Flow]:
    """No table is there; the account may read those of two schemas, and of a third what it is granted."""
    account, schema = f"'{NARROW}'@'127.0.0.1'", flow.schema
    replication = "REPLICATION SLAVE, BINLOG MONITOR" if is_mariadb(flow) else "REPLICATION SLAVE, REPLICATION CLIENT"
    more = () if is_mariadb(flow) else (f"GRANT BACKUP_ADMIN ON *.* TO {account}",)
    log_status = () if is_mariadb(flow) else (f"GRANT SELECT ON performance_schema.log_status TO {account}",)
    administer(
        flow,
        f"CREATE USER {account} IDENTIFIED BY '{NARROW}'",
        f"GRANT {replication} ON *.* TO {account}",
        *more,
        *log_status,
        *(f"GRANT SELECT ON `{name}`.* TO {account}" for name in (schema, f"{schema}.y", f"{schema}\\_2")),
    )
    flow.environment |= {
        "DFP_SOURCE_USER": NARROW,
        "DFP_SOURCE_PASSWORD": NARROW,
        "DFP_SOURCE_TABLES": f"{schema}.*,`{schema}.y`.*,{schema}_2.*,{schema}_3.*",
        "DFP_CDC_EPOCH_S": "0.3",
        "DFP_CDC_HEARTBEAT_S": "0.5",
        "DFP_CDC_RETRY_S": "1",
        "DFP_LAKE_FLUSH_S": "0.3",
    }
    yield flow
    administer(flow, f"DROP USER {account}")


def all_reasons(flow: Flow) -> dict[str, str | None]:
    """Every table in the REST answer, with the reason if it does not match."""
    with flow.state() as store, store.reading() as view:
        items = fingerprints(view).items
        return {item.table: None if item.verdict == Outcome.MATCH.value else item.reason or "" for item in items}


def test_an_empty_warehouse_is_waited_for_and_odd_names_and_grants_are_each_tables_own_affair(
    empty_flow: Flow,
) -> None:
    flow, schema = empty_flow, empty_flow.schema
    cdc, long = flow.service("cdc"), "é" * 60
    flow.start()
    cdc.await_saying("event=configured tables not found on the source")
    flow.await_that("there are epochs and lake commits without a table", lambda: bool(flow.judged_gtid()))
    for statement in (
        f"CREATE DATABASE {schema}",
        f"CREATE DATABASE `{schema}.y`",
        f"CREATE DATABASE {schema}_2",
        f"CREATE DATABASE {schema}_3",
        f"CREATE TABLE {schema}.`y.z` (id INT PRIMARY KEY, a INT)",
        f"CREATE TABLE `{schema}.y`.z (id INT PRIMARY KEY, b VARCHAR(9))",
        f"INSERT INTO {schema}.`y.z` VALUES (1, 1)",
        f"INSERT INTO `{schema}.y`.z VALUES (2, 'two')",
        f"CREATE TABLE {schema}.{long} (id INT PRIMARY KEY)",
        f"INSERT INTO {schema}.{long} VALUES (1)",
        f"CREATE TABLE {schema}.2_a (id INT PRIMARY KEY)",
        f"INSERT INTO {schema}.2_a VALUES (1)",
    ):
        flow.sql(statement)
    dotted = (f"{schema}.`y.z`", f"`{schema}.y`.z")
    good = {*dotted, f"{schema}.{long}", f"{schema}.2_a"}
    flow.await_that("all four match", lambda: all_reasons(flow) == dict.fromkeys(good))
    # Kafka takes no topic that differs from another one's by a dot that is an underscore there.
    flow.sql(f"CREATE TABLE {schema}_2.a (id INT PRIMARY KEY)")
    flow.sql(f"CREATE TABLE {schema}_3.secret (id INT PRIMARY KEY)")
    flow.sql(f"INSERT INTO {schema}_3.secret VALUES (1)")
    for name in dotted:
        flow.sql(f"UPDATE {name} SET id = id + 10")
    refused, secret = f"{schema}_2.a", f"{schema}_3.secret"
    flow.await_that("both are told of", lambda: {refused, secret} <= all_reasons(flow).keys())
    flow.await_that("the others go on", lambda: [name for name, why in all_reasons(flow).items() if why is None] != [])
    grant = f"GRANT SELECT ON `{schema}_3`.`secret` TO '{NARROW}'@'127.0.0.1'"
    flow.await_that("it names the grant", lambda: all_reasons(flow)[secret] == f"may not be read: {grant}")
    flow.await_that("it names the topic", lambda: "the broker refuses its topic" in str(all_reasons(flow)[refused]))
    cdc.kill()
    cdc.start()
    cdc.await_saying("event=stream resumed")
    administer(flow, grant)
    there = {*good, refused, secret}
    flow.await_that("what was granted comes", lambda: all_reasons(flow) | {refused: None} == dict.fromkeys(there))
    flow.sql(f"DROP TABLE {schema}_2.a")
    flow.settle()
    flow.await_that("all match", lambda: all_reasons(flow) == dict.fromkeys({*good, secret}))
    with flow.state() as store:
        sums = {name: store.source_sums(name, store.progress().epoch).values() for name in good}
    assert {name: sum(part.rows for part in of) for name, of in sums.items()} == dict.fromkeys(good, 1)
    assert not flow.ended()
