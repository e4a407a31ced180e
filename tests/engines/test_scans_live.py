"""A scan on a real engine is stored beside the running sums; one that is cancelled ends at the engine too."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from commands.scan.__main__ import run
from datafingerprint.adapters.engines.drivers import engine_opener
from datafingerprint.adapters.state.scans import SqlScanStore
from datafingerprint.config import EngineSettings, Settings
from datafingerprint.errors import ConfigError, Unavailable
from datafingerprint.scans import Cancelled, ScanState
from datafingerprint.verdict import Outcome
from deploy.embedded.ports import free_ports
from deploy.engines.presto import Presto
from deploy.engines.spark import write_configuration
from deploy.engines.system import System
from deploy.engines.trino import Trino
from tests.engines.asking import Engine
from tests.engines.conftest import Warehouse

pytestmark = [
    pytest.mark.engines,
    # The clients of Presto and Spark leave sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

LONG = "SELECT count(*) FROM TABLE(sequence(1, 1000000000)) a WHERE random() > 2"


@pytest.fixture(scope="module")
def settings(warehouse: Warehouse, trino_server: Trino, presto_server: Presto) -> Settings:
    """The flow's, with the engines that run here."""
    made = {
        "duckdb": EngineSettings.model_validate({}),
        "trino": EngineSettings.model_validate({"port": trino_server.port}),
        "presto": EngineSettings.model_validate({"port": presto_server.port}),
        "away": EngineSettings.model_validate({"kind": "trino", "port": free_ports(1)[0]}),
    }
    return warehouse.settings.model_copy(update={"engines": made})


@pytest.mark.parametrize("name", ["duckdb", "trino", "presto"])
def test_a_scan_matches_and_is_stored_at_the_epoch_that_it_read(
    name: str, settings: Settings, warehouse: Warehouse, presto: Engine
) -> None:
    presto.before()
    table = warehouse.tables["million"]
    result = run(settings, name, table.table, None, threading.Event())
    assert (result.state, result.outcome) == (ScanState.DONE, Outcome.MATCH)
    assert {part: item.lake for part, item in (result.verdicts or {}).items()} == warehouse.running(table)
    with contextlib.closing(SqlScanStore(settings.state.url.get_secret_value())) as store:
        stored = store.scan(result.number)
    assert stored is not None
    assert (stored.verdicts, stored.epoch, stored.snapshot_id) == (result.verdicts, result.epoch, result.snapshot_id)


def test_a_statement_that_is_cancelled_ends_at_the_engine(settings: Settings, trino: Engine) -> None:
    stop = threading.Event()
    with engine_opener(settings)("trino", settings.engines["trino"]) as engine:
        threading.Timer(3.0, stop.set).start()
        began = time.monotonic()
        with pytest.raises(Cancelled):
            engine.run((), LONG, stop, lambda _text: None)
        assert time.monotonic() - began < 60
    state = (
        "SELECT state, error_code FROM system.runtime.queries "
        "WHERE query LIKE '%1000000000%' AND query LIKE 'SELECT count%'"
    )
    deadline = time.monotonic() + 30
    while {row[0] for row in trino.run(state)} != {"FAILED"} and time.monotonic() < deadline:
        time.sleep(0.5)
    assert {tuple(row) for row in trino.run(state)} == {("FAILED", "USER_CANCELED")}


def test_the_command_scans_on_a_spark_that_its_own_settings_describe(
    settings: Settings, system: System, warehouse: Warehouse, tmp_path: Path
) -> None:
    write_configuration(system, tmp_path / "spark")
    (tmp_path / "datafingerprint.toml").write_text(
        "[engines.spark]\n[engines.elsewhere]\nkind = 'spark'\ncatalog = 'nobody'\n"
    )
    environment = {**os.environ, **warehouse.flow.environment, "SPARK_CONF_DIR": str(tmp_path / "spark")}
    environment["DFP_CONFIG"] = str(tmp_path / "datafingerprint.toml")

    def scan(engine: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "commands", "scan", warehouse.tables["plain"].table, "--engine", engine]
        return subprocess.run(
            [*command, "--json"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    done = scan("spark")
    assert done.returncode == 0, done.stderr[-2000:]
    answer = json.loads(done.stdout)
    assert (answer["state"], answer["verdict"]) == ("done", "match")
    counted = {
        partition["partition"]: (partition["counted"]["rows"], partition["counted"]["fingerprint"])
        for partition in answer["partitions"]
    }
    running = warehouse.running(warehouse.tables["plain"])
    assert counted == {name: (part.rows, part.value) for name, part in running.items()}
    refused = scan("elsewhere")
    assert refused.returncode == 2
    assert "datafingerprint: spark refused: " in refused.stderr
    with contextlib.closing(SqlScanStore(settings.state.url.get_secret_value())) as store:
        assert [item.state for item in store.scans(limit=99) if item.engine == "elsewhere"] == [ScanState.FAILED]


def test_a_statement_that_is_cancelled_ends_in_spark_and_ctrl_c_stays_ours(settings: Settings, spark: Engine) -> None:
    del spark  # its session is the one that is opened here
    stop = threading.Event()
    told: list[str] = []

    def tell(text: str) -> None:
        if text:
            told.append(text)
            stop.set()

    handler = signal.getsignal(signal.SIGINT)
    with engine_opener(settings)("spark", EngineSettings.model_validate({})) as engine:
        assert signal.getsignal(signal.SIGINT) is handler
        with pytest.raises(Cancelled):
            engine.run((), "SELECT count(*) FROM range(1000000000000) WHERE rand() > 2", stop, tell)
        # A stage may be done before the first look; the others are not known yet then.
        assert re.fullmatch(r"\d+ %, \d+ of \d+ tasks", told[0])
        answer = engine.run((), "SELECT count(*) FROM range(9)", threading.Event(), lambda _text: None)
        assert [tuple(row) for row in answer] == [(9,)]


def test_an_engine_that_is_away_or_refuses_is_one_clear_line(settings: Settings, warehouse: Warehouse) -> None:
    with pytest.raises(Unavailable, match="engine away cannot be reached"):
        run(settings, "away", warehouse.tables["plain"].table, None, threading.Event())
    with (
        engine_opener(settings)("trino", settings.engines["trino"]) as engine,
        pytest.raises(ConfigError, match=r"engine trino refused the statement: .*nothing"),
    ):
        engine.run((), "SELECT nothing", threading.Event(), lambda _text: None)
    with contextlib.closing(SqlScanStore(settings.state.url.get_secret_value())) as store:
        assert [scan.state for scan in store.scans(limit=99) if scan.engine == "away"] == [ScanState.FAILED]
    assert SecretStr("") == settings.engines["away"].password
