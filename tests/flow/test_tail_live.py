"""`datafingerprint tail` shows what is published, as it is published, and leaves no trace of itself."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
from kafka.admin import KafkaAdminClient

from tests.flow.running import Flow

pytestmark = pytest.mark.live

WITHIN_S = 120.0


def tail(flow: Flow, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "commands", "tail", *arguments],
        env=flow.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def told(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=WITHIN_S)
    return process.returncode, out, err


def test_it_begins_with_any_epoch_shows_one_partition_and_ends_after_so_many(standing_flow: Flow) -> None:
    flow = standing_flow
    table = f"{flow.schema}.players"
    status, out, _ = told(
        tail(flow, table, "--from-epoch", "1", "--partition", "league_id=2", "--count", "21", "--json")
    )
    assert status == 0
    start, *read = [json.loads(line) for line in out.splitlines()]
    assert (start["op"], start["before"], start["after"]) == ("t", None, None)
    assert {row["op"] for row in read} == {"r"}
    assert {row["after"]["player_id"] for row in read} == set(range(200, 220))
    assert {row["partition"] for row in read} == {"league_id=2"}


def test_it_shows_what_happens_from_now_on_and_ctrl_c_ends_it_without_a_trace(standing_flow: Flow) -> None:
    flow = standing_flow
    with tail(flow, f"{flow.schema}.players", "--json") as process:
        assert process.stdout is not None
        # Whatever is written before it has found the end is not shown: so rows are written until one is.
        number = 5_000
        flow.sql(f"INSERT INTO {flow.schema}.players (player_id, league_id) VALUES (%s, 7)", (number,))
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(flow.settings.source.port), flow.schema],
            env={**flow.environment, "PASSWORD": flow.settings.source.password.get_secret_value()},
        )
        try:
            lines = [json.loads(process.stdout.readline()) for _ in range(3)]
        finally:
            writer.kill()
            writer.wait()
        assert {line["op"] for line in lines} <= {"c", "u", "d"}
        assert all(line["position"]["gtid"] for line in lines)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=WITHIN_S)
        assert (process.returncode, err) == (0, "")
        del out
    admin = KafkaAdminClient(bootstrap_servers=flow.settings.kafka.bootstrap)
    groups = {group["group_id"] for group in admin.list_groups()}
    admin.close()
    assert not {name for name in groups if "tail" in name.removeprefix(flow.settings.kafka.prefix)}
    flow.settle()
    flow.assert_all_match()


WRITER = """
import os, sys, time, pymysql
connection = pymysql.connect(
    host="127.0.0.1", port=int(sys.argv[1]), user=os.environ["DFP_SOURCE_USER"], password=os.environ["PASSWORD"],
    database=sys.argv[2], autocommit=True,
)
with connection.cursor() as cursor:
    while True:
        cursor.execute("UPDATE players SET rating = RAND() WHERE player_id = 5000")
        time.sleep(0.05)
"""


def test_what_cannot_be_there_and_a_prefix_without_a_stream_are_refused(standing_flow: Flow) -> None:
    flow = standing_flow
    status, _, err = told(tail(flow, f"{flow.schema}.nothing"))
    assert status == 2
    assert (
        f"table {flow.schema}.nothing is not captured: captured tables: {flow.schema}.notes, {flow.schema}.players"
        in err
    )
    status, _, err = told(tail(flow, f"{flow.schema}.players", "--partition", "leagueid=2"))
    assert status == 2
    assert f"{flow.schema}.players has no partition leagueid=2: its partitions are named league_id=..." in err
    other = dict(flow.environment, DFP_KAFKA_PREFIX="unheard-of")
    command = [sys.executable, "-m", "commands", "tail", f"{flow.schema}.players"]
    refused = subprocess.run(command, env=other, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "nothing is published under the prefix unheard-of yet" in refused.stderr
