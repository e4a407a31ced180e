"""What foreign keys cascade without a word in the binlog: named, not claimed to match, checked, and read again."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest

from datafingerprint.adapters.mysql.checkup import SourceCheckup
from datafingerprint.audit import Hop
from datafingerprint.checkup import Severity
from datafingerprint.verdict import Outcome
from services.auditor.__main__ import run as audit
from tests.flow.running import Flow

pytestmark = pytest.mark.live

CHECKING = {"DFP_AUDIT_CASCADES_S": "1", "DFP_AUDIT_EVERY_S": "0"}


@pytest.fixture
def flow(standing_flow: Flow) -> Iterator[Flow]:
    """The module's flow, with an auditor that is often allowed to check."""
    yield standing_flow
    auditor = standing_flow.service("auditor", "--serve")
    if auditor.is_running:
        auditor.kill()


def is_logged(flow: Flow) -> bool:
    """MySQL logs cascades since 9.6; MariaDB does not."""
    return bool(flow.stack.blueprint.source == "mysql")


def suspects(flow: Flow) -> dict[str, str]:
    with flow.state() as store:
        return {name.split(".")[1]: item.reason for name, item in store.suspicions().items()}


def await_healed(flow: Flow, *tables: str) -> None:
    """All match, nothing is suspect, and the lake holds what the source holds."""
    flow.settle()
    flow.await_that("nothing is suspect, all match", lambda: not suspects(flow) and not flow.mismatches())
    for table in tables:
        assert flow.lake_rows(table) == flow.source_rows(table)


def test_children_of_every_kind_of_cascade_are_read_again_by_themselves(flow: Flow) -> None:
    schema, capture, auditor = flow.schema, flow.service("cdc"), flow.service("auditor", "--serve")
    auditor.start(**CHECKING)
    for statement in (
        f"CREATE TABLE {schema}.leagues (league_id INT PRIMARY KEY, name VARCHAR(20))",
        f"INSERT INTO {schema}.leagues VALUES (1, 'a'), (2, 'b'), (3, 'c')",
        f"CREATE TABLE {schema}.clubs (club_id INT PRIMARY KEY, code CHAR(3) NOT NULL UNIQUE, town VARCHAR(20))",
        (
            f"CREATE TABLE {schema}.teams (team_id INT PRIMARY KEY, club_id INT NOT NULL, FOREIGN KEY (club_id) "
            f"REFERENCES {schema}.clubs (club_id) ON DELETE CASCADE ON UPDATE CASCADE)"
        ),
        (
            f"CREATE TABLE {schema}.coaches (coach_id INT PRIMARY KEY, team_id INT, name VARCHAR(20), "
            f"FOREIGN KEY (team_id) REFERENCES {schema}.teams (team_id) ON DELETE SET NULL)"
        ),
        (
            f"CREATE TABLE {schema}.badges (code CHAR(3), n INT, "
            f"FOREIGN KEY (code) REFERENCES {schema}.clubs (code) ON UPDATE SET NULL ON DELETE CASCADE)"
        ),
        f"INSERT INTO {schema}.clubs VALUES (1, 'abc', 'A'), (2, 'def', 'B'), (3, 'ghi', 'C')",
        f"INSERT INTO {schema}.teams VALUES (1, 1), (2, 1), (3, 2), (4, 3)",
        f"INSERT INTO {schema}.coaches VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c'), (4, 4, 'd')",
        f"INSERT INTO {schema}.badges VALUES ('abc', 1), ('abc', 1), ('def', 2), ('ghi', 3)",
    ):
        flow.sql(statement)
    flow.await_that("the tables are followed", lambda: (f"{schema}.badges", "-") in flow.verdicts())
    await_healed(flow, "teams", "coaches", "badges")

    # A key that comes later is known from then on, and only the partition that differs is read again.
    flow.sql(
        f"ALTER TABLE {schema}.players ADD CONSTRAINT of_league FOREIGN KEY (league_id) "
        f"REFERENCES {schema}.leagues (league_id) ON DELETE CASCADE"
    )
    flow.sql(f"DELETE FROM {schema}.leagues WHERE league_id = 2")
    flow.settle()
    if is_logged(flow):
        # Whatever cascades is in the log: nothing is suspect, nothing is read again.
        for statement in (
            f"UPDATE {schema}.clubs SET club_id = 10, code = 'xyz' WHERE club_id = 1",
            f"DELETE FROM {schema}.clubs WHERE club_id = 2",
        ):
            flow.sql(statement)
        flow.match()
        assert not suspects(flow)
        assert not capture.says("does not log what foreign keys cascade")
        assert not capture.says("request taken up")
        for table in ("players", "teams", "coaches", "badges"):
            assert flow.lake_rows(table) == flow.source_rows(table)
        return
    assert capture.says(f"{schema}.teams (club_id) references {schema}.clubs ON DELETE CASCADE ON UPDATE CASCADE")
    assert capture.says(f"{schema}.players (league_id) references {schema}.leagues ON DELETE CASCADE")
    await_healed(flow, "players")
    taken_up = [line for line in capture.text.splitlines() if "request taken up" in line]
    assert [f"table={schema}.players" in line and "partition=league_id=2" in line for line in taken_up] == [True]

    # Another key value goes down two tables, and one that no key refers to goes nowhere.
    checks = auditor.text.count("audit started")
    flow.sql(f"UPDATE {schema}.clubs SET town = 'D' WHERE club_id = 3")
    flow.settle()
    assert not suspects(flow)
    assert auditor.text.count("audit started") == checks
    flow.sql(f"UPDATE {schema}.clubs SET club_id = 10, code = 'xyz' WHERE club_id = 1")
    await_healed(flow, "teams", "badges")
    assert (10,) in flow.sql(f"SELECT club_id FROM {schema}.teams WHERE team_id = 1")

    # A cascade that went through: rows of one child gone, of the one behind set to NULL.
    flow.sql(f"DELETE FROM {schema}.clubs WHERE club_id = 2")
    await_healed(flow, "teams", "coaches", "badges")
    assert flow.sql(f"SELECT team_id FROM {schema}.coaches WHERE coach_id = 3") == [(None,)]

    # A parent that is not captured.
    flow.sql(f"CREATE DATABASE {schema}_out")
    flow.sql(f"CREATE TABLE {schema}_out.towns (town_id INT PRIMARY KEY)")
    flow.sql(f"INSERT INTO {schema}_out.towns VALUES (1), (2)")
    flow.sql(
        f"CREATE TABLE {schema}.houses (house_id INT PRIMARY KEY, town_id INT, FOREIGN KEY (town_id) "
        f"REFERENCES {schema}_out.towns (town_id) ON DELETE CASCADE)"
    )
    flow.sql(f"INSERT INTO {schema}.houses VALUES (1, 1), (2, 1), (3, 2)")
    flow.await_that("the table is followed", lambda: (f"{schema}.houses", "-") in flow.verdicts())
    await_healed(flow, "houses")
    flow.sql(f"DELETE FROM {schema}_out.towns WHERE town_id = 1")
    await_healed(flow, "houses")
    assert capture.says("parents of foreign keys that cascade are not captured")
    findings = [finding for finding in SourceCheckup(flow.settings).findings(None, None) if finding.check == "cascades"]
    assert [item.severity for item in findings] == [Severity.WARNING, Severity.WARNING]
    assert "the source does not log what" in findings[0].text
    assert f"{schema}_out.towns" in findings[1].text


def test_rows_that_were_never_logged_and_change_later_are_captures_fault_and_read_again(flow: Flow) -> None:
    """The lake takes the after-image, so that stream and lake differ; on either server."""
    schema, auditor = flow.schema, flow.service("auditor", "--serve")
    table = f"{schema}.players"
    with contextlib.closing(flow.stack.blueprint.warehouse.connect_as_administrator()) as root, root.cursor() as cursor:
        cursor.execute("SET SESSION sql_log_bin = 0")
        cursor.execute(f"UPDATE {table} SET name = 'unlogged' WHERE player_id IN (301, 302, 303)")
        cursor.execute(f"INSERT INTO {table} VALUES (399, 3, 'unlogged', 1, NULL)")
        root.commit()
    flow.sql(f"UPDATE {table} SET rating = 0 WHERE player_id IN (301, 399)")
    flow.settle()
    verdict = flow.verdicts()[table, "league_id=3"].verdict
    assert verdict.outcome is Outcome.MISMATCH
    assert (
        "the lake has 1 row too many; rows changed that the lake did not have, or had with other values"
        in verdict.reason
    )
    result = {finding.partition: finding for finding in audit(flow.settings, table, None, threading.Event())}
    assert (result["league_id=3"].outcome, result["league_id=3"].hops) == (Outcome.MISMATCH, (Hop.CAPTURE,))
    assert result["league_id=1"].outcome is Outcome.MATCH
    auditor.start(**CHECKING)
    await_healed(flow, "players")


def test_until_it_was_checked_a_child_is_no_match_and_what_is_logged_of_it_later_does_not_blame_the_lake(
    flow: Flow,
) -> None:
    """The auditor is away: the row that a cascade set to NULL is changed, so that stream and lake differ."""
    if is_logged(flow):
        pytest.skip("this source logs cascades")
    schema, auditor = flow.schema, flow.service("auditor", "--serve")
    table = f"{schema}.coaches"
    flow.sql(f"DELETE FROM {schema}.teams WHERE team_id = 1")
    flow.settle()
    verdict = flow.verdicts()[table, "-"].verdict
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.reason == (f"cascade of a foreign key not logged by the source: rows of {schema}.teams were deleted")
    flow.sql(f"UPDATE {table} SET name = 'z' WHERE coach_id = 1")
    flow.settle()
    verdict = flow.verdicts()[table, "-"].verdict
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.reason.endswith("; as many rows on both sides, but other values")
    (result,) = audit(flow.settings, table, None, threading.Event())
    assert (result.outcome, result.hops) == (Outcome.MISMATCH, (Hop.CAPTURE,))

    auditor.start(**CHECKING, DFP_SOURCE_CASCADES="warn")
    auditor.await_saying("table may have changed unlogged")
    auditor.kill()
    assert suspects(flow).keys() == {"coaches"}
    auditor.start(**CHECKING)
    await_healed(flow, "coaches")
