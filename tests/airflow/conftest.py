"""A system over the league, and Airflow's own command that runs a DAG against it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.airflow.installation import AirflowInstallation
from deploy.embedded.ports import free_ports
from deploy.embedded.stack import EmbeddedStack
from deploy.embedded.waiting import await_condition
from tests.flow.running import Flow, build_flow, ending

SCHEMA = "airflow"
PARTITIONS = {"games": ["year(date)"], "players": ["league_id"]}
SETTLED_WITHIN_S = 300.0
RUN_WITHIN_S = 400.0
TOKEN = "a-token-of-at-least-16-characters"


@dataclass(frozen=True)
class DagRun:
    """A run of a DAG that has ended, or still runs.

    Attributes:
        process: `airflow dags test`.
        log: All that it wrote.
    """

    process: subprocess.Popen[bytes]
    log: Path

    def end(self) -> str:
        """Waits for the end. Returns: what it wrote."""
        self.process.wait(RUN_WITHIN_S)
        return self.text

    @property
    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def is_success(self) -> bool:
        return self.process.wait(RUN_WITHIN_S) == 0


@dataclass
class Orchestrated:
    """The league's flow with its REST service, and Airflow homes that are connected to it."""

    flow: Flow
    directory: Path
    url: str
    runs: int = 0

    def start(self, dag: str, conf: str = "{}", home: str = "first") -> DagRun:
        """Runs a DAG, each home one at a time."""
        self.runs += 1
        log = self.directory / f"{self.runs}-{dag}.log"
        installation = self.installation(home)
        environment = {
            **os.environ,
            **installation.environment(self.flow.environment),
            **self.flow.environment,
            "PATH": f"{installation.environment(self.flow.environment)['PATH']}:{Path(sys.executable).parent}",
        }
        arguments = ["db", "migrate"] if dag == "migrate" else ["dags", "test", dag, "-c", conf]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [installation.program(), *arguments], env=environment, stdout=output, stderr=output
            )
        return DagRun(process, log)

    def run(self, dag: str, conf: str = "{}") -> DagRun:
        run = self.start(dag, conf)
        run.end()
        return run

    def installation(self, home: str) -> AirflowInstallation:
        ports = dict.fromkeys(("airflow", "task_logs", "trigger_logs"), 1)
        made = AirflowInstallation(self.directory / home, ports)
        made.prepare()
        return made

    def get(self, path: str) -> Any:  # noqa: ANN401 - a JSON document
        """An answer of the REST service."""
        answer = httpx.get(f"{self.url}{path}", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30)
        answer.raise_for_status()
        return answer.json()

    @property
    def is_well(self) -> bool:
        try:
            return bool(self.get("/v1/status")["verdict"] == "match")
        except httpx.HTTPError:
            return False

    def await_verdict(self, table: str, verdict: str) -> None:
        """Waits until a table has a verdict."""
        path = f"/v1/fingerprints/{SCHEMA}.{table}"
        self.flow.await_that(f"{table} {verdict}", lambda: self.get(path)["verdict"] == verdict)


@pytest.fixture(scope="module")
def orchestrated(
    stack: EmbeddedStack, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Orchestrated]:
    """The league in the lake, every partition a match, and two Airflow homes."""
    directory = tmp_path_factory.mktemp("airflow")
    (port,) = free_ports(1)
    environment = {
        **stack.environment(),
        "DFP_SOURCE_TABLES": f"{SCHEMA}.*",
        "DFP_GENERATOR_SCHEMA_NAME": SCHEMA,
        "DFP_KAFKA_PREFIX": SCHEMA,
        "DFP_LAKE_PATH": SCHEMA,
        "DFP_LAKE_CATALOG": f"sqlite:///{directory}/catalog.db",
        "DFP_STATE_URL": f"sqlite:///{directory}/state.db",
        "DFP_LAKE_FLUSH_S": "1",
        "DFP_CDC_HEARTBEAT_S": "1",
        "DFP_FINGERPRINTER_ETAG_CHECK_S": "1",
        "DFP_FINGERPRINTER_POLL_S": "0.5",
        "DFP_AUDIT_EVERY_S": "0",
        "DFP_API_PORT": str(port),
        "DFP_API_TOKEN": TOKEN,
    }
    with ending(build_flow(stack, environment, directory, PARTITIONS), request) as flow:
        made = Orchestrated(flow, directory, f"http://127.0.0.1:{port}")
        migrations = [made.start("migrate", home=home) for home in ("first", "second")]
        flow.seed()
        flow.start()
        flow.service("auditor", "--serve").start()
        flow.service("commands", "serve", label="api").start()
        await_condition(lambda: made.is_well, timeout_s=SETTLED_WITHIN_S, pause_s=0.5)
        assert made.is_well
        assert [run.is_success for run in migrations] == [True, True], migrations[0].text
        yield made
