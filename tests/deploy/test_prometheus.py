"""The alert rules and the dashboard ask for metrics that exist, and every query is one that Prometheus answers."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
import yaml

from api.application import create_app
from api.metrics import METRICS
from datafingerprint.adapters.state.store import SqlStateStore
from deploy.embedded.process import end_with_parent
from deploy.embedded.waiting import await_condition
from tests.api.conftest import NOW, FakeLagReader, seed

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "prometheus"
DASHBOARD = ROOT / "deploy" / "grafana" / "datafingerprint.json"
WITHIN_S = 60.0


def program(name: str) -> str:
    """Where a program of the Prometheus package is; the test is not run where it is nowhere."""
    local = ROOT / ".local" / "prometheus" / "usr" / "bin" / name
    result = str(local) if local.is_file() else shutil.which(name)
    if result is None:
        pytest.skip(f"NOT RUN: {name} is not installed")
    return result


def rule_queries() -> list[str]:
    groups = yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


def panel_queries() -> list[str]:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def test_rules_and_panels_name_only_metrics_that_exist() -> None:
    named = {name for query in rule_queries() + panel_queries() for name in re.findall(r"\bdfp_\w+", query)}
    assert named
    assert named <= {metric.name for metric in METRICS}


def test_panels_do_not_overlap() -> None:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    taken = [
        (place["x"] + x, place["y"] + y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["w"])
        for y in range(place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24


@pytest.mark.parametrize(
    "arguments",
    [("check", "config", "prometheus.yml"), ("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")],
)
def test_promtool_finds_nothing_wrong(arguments: tuple[str, ...]) -> None:
    ran = subprocess.run([program("promtool"), *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.fixture
def service(tmp_path: Path) -> Iterator[int]:
    """The port of a REST service over a state store with a small league in it."""
    with closing(SqlStateStore(f"sqlite:///{tmp_path}/state.db", clock=lambda: NOW)) as store:
        seed(store)
        app = create_app(store, FakeLagReader(), lambda: NOW)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
            thread.start()
            try:
                assert await_condition(lambda: server.started, timeout_s=WITHIN_S)
                yield listener.getsockname()[1]
            finally:
                server.should_exit = True
                thread.join()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture
def prometheus(service: int, tmp_path: Path) -> Iterator[httpx.Client]:
    """A real Prometheus with the project's configuration, scraping that service every second."""
    settings = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
    settings["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    settings["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{service}"]}]
    shutil.copy(FOLDER / "alerts.yml", tmp_path)
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    port = free_port()
    command = [
        *end_with_parent("KILL"),
        program("prometheus"),
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (tmp_path / "prometheus.log").open("wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            await_condition(lambda: child.poll() is not None or scraped(client), timeout_s=WITHIN_S)
            assert child.poll() is None, (tmp_path / "prometheus.log").read_text(encoding="utf-8")
            yield client
    finally:
        child.terminate()
        child.wait()


def ask(client: httpx.Client, query: str) -> list[Any]:
    answer = client.get("/api/v1/query", params={"query": query})
    assert answer.status_code == httpx.codes.OK, (query, answer.text)
    result: list[Any] = answer.json()["data"]["result"]
    return result


def scraped(client: httpx.Client) -> bool:
    """Whether a scrape is stored; while it starts, Prometheus refuses connections or answers 503."""
    try:
        return client.get("/-/ready").status_code == httpx.codes.OK and bool(ask(client, "dfp_state_up == 1"))
    except httpx.HTTPError:
        return False


def firing(client: httpx.Client) -> set[str]:
    alerts = client.get("/api/v1/alerts").json()["data"]["alerts"]
    return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}


@pytest.mark.live
def test_a_real_prometheus_answers_every_query_and_fires_for_the_difference(prometheus: httpx.Client) -> None:
    for query in rule_queries():
        ask(prometheus, query)
    empty = {query for query in panel_queries() if not ask(prometheus, query)}
    assert empty == set(), "panels without data"
    wanted = {"DataFingerprintMismatch", "DataFingerprintSourceDiffers"}
    assert await_condition(lambda: wanted <= firing(prometheus), timeout_s=WITHIN_S), firing(prometheus)
