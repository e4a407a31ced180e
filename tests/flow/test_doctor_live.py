"""The doctor finds what would stop the services. Each of its remedies is run, and the problem is gone."""

from __future__ import annotations

import contextlib
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from datafingerprint.adapters.kafka.checkup import KafkaCheckup
from datafingerprint.adapters.mysql.checkup import SourceCheckup
from datafingerprint.checkup import CheckResult, Severity
from datafingerprint.config import Settings, TableSettings
from tests.flow.running import Flow

pytestmark = pytest.mark.live

POOR = "poor"


@pytest.fixture
def flow(standing_flow: Flow) -> Flow:
    return standing_flow


def of_source(settings: Settings, severity: Severity = Severity.PROBLEM) -> list[CheckResult]:
    return [finding for finding in SourceCheckup(settings).findings(None, 0.0) if finding.severity is severity]


def of_broker(settings: Settings, severity: Severity = Severity.PROBLEM) -> list[CheckResult]:
    return [finding for finding in KafkaCheckup(settings.kafka).findings(0.0) if finding.severity is severity]


def administer(flow: Flow, statement: str) -> None:
    with flow.stack.blueprint.warehouse.connect_as_administrator() as connection, connection.cursor() as cursor:
        cursor.execute(statement)


def with_source(settings: Settings, **more: Any) -> Settings:  # noqa: ANN401 - any setting
    kind = type(settings.source.password)
    given = {name: kind(value) if name == "password" else value for name, value in more.items()}
    return settings.model_copy(update={"source": settings.source.model_copy(update=given)})


def doctor(flow: Flow, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "commands", "doctor", *arguments],
        env={**flow.environment, **more},
        capture_output=True,
        text=True,
        check=False,
    )


def test_of_a_system_that_works_it_finds_no_problem_and_disturbs_nobody(flow: Flow) -> None:
    answer = doctor(flow, "--json")
    assert answer.returncode == 0, answer.stdout
    result = json.loads(answer.stdout)
    parts = {"source", "broker", "bucket", "catalog", "state store", "temporary files"}
    assert {item["part"] for item in result} == parts
    # One broker can hold one copy; nothing else is to be said of the embedded parts.
    assert [item["check"] for item in result if item["severity"] != "ok"] == ["copies"]
    assert {"2 of 2 tables exist, with the partition fields of the stream"} == {
        item["said"] for item in result if (item["part"], item["check"]) == ("catalog", "tables")
    }
    flow.sql(f"DELETE FROM {flow.schema}.notes")
    flow.settle()
    assert not flow.ended()
    with contextlib.closing(flow.s3()) as client:
        listed = client.list_objects_v2(Bucket=flow.settings.s3.bucket, Prefix=f"{flow.settings.lake.path}/doctor-")
    assert "Contents" not in listed


@pytest.fixture
def poor(flow: Flow) -> Iterator[Settings]:
    """Settings of an account that may connect, and nothing else."""
    account = f"'{POOR}'@'127.0.0.1'"
    administer(flow, f"CREATE USER {account} IDENTIFIED BY '{POOR}'")
    yield with_source(flow.settings, user=POOR, password=POOR)
    administer(flow, f"DROP USER {account}")


def test_every_privilege_that_is_lacking_is_named_with_the_grant_that_gives_it(flow: Flow, poor: Settings) -> None:
    grants = {entry.check: entry.remedy for entry in of_source(poor) if entry.remedy.startswith("GRANT ")}
    assert set(grants) == {"privileges", "binlog"}
    views = [entry.remedy for entry in of_source(poor, Severity.WARNING) if entry.check == "views"]
    for statement in "; ".join([*grants.values(), *views]).split("; "):
        administer(flow, statement)
    assert not of_source(poor)
    assert "no table matches" in {entry.text[:16] for entry in of_source(poor, Severity.WARNING)}
    administer(flow, f"GRANT SELECT ON {flow.schema}.players TO '{POOR}'@'127.0.0.1'")
    administer(flow, f"GRANT INSERT ON {flow.schema}.notes TO '{POOR}'@'127.0.0.1'")
    (unreadable,) = of_source(poor)
    assert unreadable.text == f"{flow.schema}.notes may not be read"
    administer(flow, unreadable.remedy)
    assert not of_source(poor)
    for item in of_source(poor, Severity.WARNING):
        for statement in item.remedy.split("; "):
            administer(flow, statement)
    assert not of_source(poor, Severity.WARNING)


@pytest.mark.only("mysql")
@pytest.mark.parametrize(
    ("grant", "severity"),
    [
        ("SELECT, LOCK TABLES ON `{}`.*", Severity.WARNING),
        ("SELECT, LOCK TABLES ON *.*", Severity.WARNING),
        ("SELECT ON `{}`.*", Severity.PROBLEM),
    ],
)
def test_without_the_logs_status_the_doctor_looks_whether_tables_may_be_locked(
    flow: Flow,
    poor: Settings,
    grant: str,
    severity: Severity,
) -> None:
    account = f"'{POOR}'@'127.0.0.1'"
    administer(flow, f"GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {account}")
    administer(flow, f"GRANT {grant.format(flow.schema)} TO {account}")
    (result,) = [finding for finding in SourceCheckup(poor).findings(None, 0.0) if finding.check == "views"]
    assert result.severity is severity


def test_settings_of_the_source_are_named_with_the_statements_that_mend_them(flow: Flow) -> None:
    flow.sql("SET GLOBAL binlog_row_image = MINIMAL")
    flow.sql("SET GLOBAL sync_binlog = 0")
    (before,) = flow.sql("SELECT @@GLOBAL.binlog_expire_logs_seconds")[0]
    flow.sql("SET GLOBAL binlog_expire_logs_seconds = 3600")
    try:
        problems = of_source(flow.settings)
        assert [problem.text.partition(" at ")[0] for problem in problems] == [
            "the source has binlog_row_image = MINIMAL"
        ]
        warnings = of_source(flow.settings, Severity.WARNING)
        assert {warning.check for warning in warnings} == {"durability", "binlog retention"}
        for item in (*problems, *warnings):
            administer(flow, item.remedy)
        assert not of_source(flow.settings)
        assert not of_source(flow.settings, Severity.WARNING)
    finally:
        flow.sql("SET GLOBAL binlog_row_image = FULL")
        flow.sql("SET GLOBAL sync_binlog = 1")
        flow.sql(f"SET GLOBAL binlog_expire_logs_seconds = {before}")


def test_every_table_that_cannot_be_carried_is_named_and_not_only_the_first(flow: Flow) -> None:
    odd = f"{flow.schema}_odd"
    flow.sql(f"CREATE DATABASE {odd}")
    flow.sql(f"CREATE TABLE {odd}.old (i INT PRIMARY KEY) ENGINE=MyISAM")
    flow.sql(f"CREATE TABLE {odd}.numbers (i INT PRIMARY KEY)")
    flow.sql(f"CREATE TABLE {odd}.letters (i INT PRIMARY KEY, t VARCHAR(9))")
    tables = {
        f"{odd}.numbers": TableSettings(as_bytes=("i",)),
        f"{odd}.letters": TableSettings(partition=("year(t)",)),
    }
    settings = with_source(flow.settings, tables=(f"{odd}.*",)).model_copy(update={"tables": tables})
    said = " ".join(item.text for item in of_source(settings, Severity.WARNING))
    assert [name for name in ("old", "numbers", "letters") if f"{odd}.{name}" not in said] == []


def alter(flow: Flow, topic: str, **settings: str) -> None:
    client = KafkaAdminClient(bootstrap_servers=flow.settings.kafka.bootstrap)
    values = {name.replace("_", "."): value for name, value in settings.items()}
    client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=values)])
    client.close()


def carried_out(flow: Flow, command: str) -> None:
    """Does what `kafka-configs.sh --alter` would do with these arguments: its tools are not among the jars."""
    words = shlex.split(command)
    assert words[:2] == ["kafka-configs.sh", "--bootstrap-server"]
    assert words[words.index("--entity-type") + 1] == "topics"
    key, _, value = words[words.index("--add-config") + 1].partition("=")
    alter(flow, words[words.index("--entity-name") + 1], **{key: value})


def test_topics_that_would_lose_records_are_named_with_the_command_that_mends_them(flow: Flow) -> None:
    prefix = flow.settings.kafka.prefix
    players = f"{prefix}.{flow.schema}.players"
    alter(flow, f"{prefix}.epochs", retention_ms="600000")
    alter(flow, f"{prefix}.lake-commits", cleanup_policy="compact")
    alter(flow, players, cleanup_policy="compact", retention_bytes="5000000")
    problems = of_broker(flow.settings)
    assert [problem.check for problem in problems] == ["control topics", "control topics", "tables' topics"]
    (bytes_only,) = [item for item in of_broker(flow.settings, Severity.WARNING) if item.check == "tables' topics"]
    for item in (*problems, bytes_only):
        carried_out(flow, item.remedy)
    assert not of_broker(flow.settings)
    assert [item.check for item in of_broker(flow.settings, Severity.WARNING)] == ["copies"]
    alter(flow, players, max_message_bytes="1000")
    assert [item.text for item in of_broker(flow.settings)] == [f"max.message.bytes of {players} is 1000"]


def test_parts_that_are_away_or_refuse_are_each_named_and_the_others_looked_at(flow: Flow) -> None:
    away = doctor(
        flow,
        DFP_SOURCE_PORT="1",
        DFP_KAFKA_BOOTSTRAP="127.0.0.1:1",
        DFP_S3_ENDPOINT="http://127.0.0.1:1",
        DFP_STATE_URL="sqlite:////dev/null/state.db",
        DFP_SCRATCH_DIRECTORY="/nowhere/at/all",
    )
    assert away.returncode == 1
    assert "Traceback" not in away.stderr
    lines = [line for line in away.stdout.splitlines() if " problem " in line]
    assert [line.split("  ")[0] for line in lines] == ["source", "broker", "bucket", "state store", "temporary files"]
    refusing = doctor(flow, "--json", DFP_S3_SECRET_KEY="notthisone", DFP_SOURCE_PASSWORD="notthisone")
    assert "notthisone" not in refusing.stdout
    problems = [load for load in json.loads(refusing.stdout) if load["severity"] == "problem"]
    assert [problem["part"] for problem in problems if problem["check"] == "reachable"] == ["source", "bucket"]
    assert all(problem["remedy"] for problem in problems)
