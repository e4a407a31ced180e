"""The DAGs against a real system, each run by Airflow's own `dags test`: in the order in which people meet them."""

from __future__ import annotations

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.airflow.conftest import SCHEMA, Orchestrated

pytestmark = [pytest.mark.live, pytest.mark.airflow]

TABLES = f"{SCHEMA}.[gp]a*s"
"""`games`, which changes with every game, and `parks`, which does not."""


def chosen(**more: str) -> str:
    return json.dumps({"tables": TABLES, **more})


def games_played(system: Orchestrated) -> int:
    ((played,),) = system.flow.sql(f"SELECT COUNT(*) FROM {SCHEMA}.games WHERE played = 1")
    return int(played)


def test_a_day_is_played_and_arrives_in_the_lake(orchestrated: Orchestrated) -> None:
    before = games_played(orchestrated)
    run = orchestrated.run("dfp_new_data")
    assert run.is_success, run.text
    assert games_played(orchestrated) > before
    assert "arrived" in run.text


def test_the_way_is_proven_while_tables_are_migrated(orchestrated: Orchestrated) -> None:
    migration = orchestrated.start("dfp_migration", chosen(resync="always"), home="second")
    proof = orchestrated.run("dfp_fingerprint", chosen())
    migration.end()
    assert proof.is_success, proof.text
    assert "all match" in proof.text
    assert migration.is_success, migration.text
    resyncs = orchestrated.get("/v1/resyncs")["items"]
    assert {resync["state"] for resync in resyncs} == {"done"}
    assert {resync["table"] for resync in resyncs} == {f"{SCHEMA}.games", f"{SCHEMA}.parks"}


def test_a_report_is_made_of_proven_rows(orchestrated: Orchestrated) -> None:
    run = orchestrated.run("dfp_report")
    assert run.is_success, run.text
    assert f"{SCHEMA}.games: " in run.text
    assert "rows, proven as of" in run.text


def test_damage_fails_both_with_the_partition_and_a_migration_repairs_it(orchestrated: Orchestrated) -> None:
    flow = orchestrated.flow
    path = flow.live_files("games")[0]
    flow.put_object(path, altered(flow.get_object(path)))
    orchestrated.await_verdict("games", "mismatch")
    (partition,) = orchestrated.get(f"/v1/fingerprints/{SCHEMA}.games?verdict=mismatch")["partitions"]
    report = orchestrated.start("dfp_report", home="second")
    proof = orchestrated.run("dfp_fingerprint", chosen())
    report.end()
    assert not proof.is_success
    assert f"{SCHEMA}.games {partition['partition']}: mismatch" in proof.text
    assert f"See {orchestrated.url}/#{SCHEMA}.games" in proof.text
    assert not report.is_success
    assert "rows, proven as of" not in report.text
    assert f"{SCHEMA}.games {partition['partition']}: mismatch" in report.text
    repair = orchestrated.run("dfp_migration", chosen())
    assert repair.is_success, repair.text
    assert orchestrated.get("/v1/resyncs?limit=1")["items"][0]["table"] == f"{SCHEMA}.games"
    assert orchestrated.get(f"/v1/fingerprints/{SCHEMA}.games")["verdict"] == "match"


def altered(content: bytes) -> bytes:
    """The same Parquet file with the first row's attendance changed."""
    rows = pq.read_table(io.BytesIO(content))
    at = rows.schema.get_field_index("attendance")
    column = rows.schema.field(at)
    values = rows.column(at).to_pylist()
    values[0] = (values[0] or 0) + 1
    sink = io.BytesIO()
    pq.write_table(rows.set_column(at, column, pa.array(values, column.type)), sink)
    return sink.getvalue()
