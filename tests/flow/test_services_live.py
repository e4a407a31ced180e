"""Whichever service is killed, stopped or cut off from the broker: REST and `status` say which, since when, and why."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from deploy.embedded.waiting import await_condition
from tests.flow.running import Flow

pytestmark = pytest.mark.live

SERVICES = ("cdc", "lake_writer", "fingerprinter", "auditor", "api")
KILLED = ("auditor", "fingerprinter", "lake_writer", "cdc")
SILENT_WITHIN_S = 10.0
# Of a machine that others use as well; docs/running.md says 5 s.
AWAY_WITHIN_S = 10.0
WITHIN_S = 60.0


class Watched:
    """The services of a flow as processes, and what REST and `status` say of them."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.url = f"http://127.0.0.1:{flow.environment['DFP_API_PORT']}"
        self.services = {
            **{name: flow.service(name) for name in ("cdc", "lake_writer", "fingerprinter")},
            "auditor": flow.service("auditor", "--serve"),
            "api": flow.service("commands", "serve", label="api"),
        }

    def get(self, path: str) -> dict[str, Any]:
        """An answer; empty while there is none."""
        try:
            response = httpx.get(f"{self.url}{path}", timeout=10)
        except httpx.HTTPError:
            return {}
        return response.json() if response.status_code == 200 else {}

    def state(self, name: str) -> str:
        """What the first process of a service is said to do."""
        return next(
            (item["state"] for item in self.get("/v1/services").get("items", []) if item["service"] == name), ""
        )

    def await_state(self, state: str, *names: str, within_s: float = WITHIN_S) -> None:
        await_condition(lambda: {self.state(name) for name in names} == {state}, timeout_s=within_s)
        assert {name: self.state(name) for name in names} == dict.fromkeys(names, state)

    def status(self) -> tuple[int, str]:
        """How `datafingerprint status` ends, and all that it prints."""
        result = subprocess.run(
            [sys.executable, "-m", "commands", "status"],
            env=self.flow.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return result.returncode, result.stdout + result.stderr


@pytest.fixture
def watched(standing_flow: Flow) -> Watched:
    made = Watched(standing_flow)
    for service in made.services.values():
        if not service.is_running:
            service.start()
    made.await_state("running", *SERVICES)
    return made


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[None]:
    """A broker that does not answer, and does not hang up either."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_every_service_that_is_gone_is_said_to_be_so_and_one_that_is_back_too(watched: Watched) -> None:
    assert watched.get("/v1/status")["standstill"] is None
    for name in KILLED:
        watched.services[name].kill()
    watched.await_state("silent", *KILLED, within_s=SILENT_WITHIN_S)
    code, text = watched.status()
    assert code == 2
    assert "match  " in text  # of the epoch that was compared last
    assert "0.0 s behind" not in text
    for name in ("cdc", "lake_writer", "fingerprinter"):
        assert f"{name} silent since" in text
    assert 'dfp_service_up{service="lake_writer"} 0.0' in httpx.get(f"{watched.url}/metrics").text

    # Of the REST service itself `status` learns it from the others' channel.
    watched.services["api"].kill()
    code, text = watched.status()
    assert code == 2
    assert "the REST service is away" in text
    states = {line.split()[0]: line.split()[1] for line in text.splitlines() if line.split()[:1] != []}
    assert {name: states[name] for name in KILLED} == dict.fromkeys(KILLED, "silent")
    assert states["api"] in ("running", "silent")

    for name in (*KILLED, "api"):
        watched.services[name].start()
    watched.await_state("running", *SERVICES)
    assert watched.get("/v1/status")["standstill"] is None

    # One that must not go on by itself says why, and what mends it.
    watched.services["cdc"].end()
    watched.await_state("ended", "cdc")
    watched.services["cdc"].start(DFP_SOURCE_PASSWORD="wrong")
    assert watched.services["cdc"].wait(WITHIN_S) == 2
    watched.await_state("stopped", "cdc")
    (capture,) = [item for item in watched.get("/v1/services")["items"] if item["service"] == "cdc"]
    assert "Access denied" in capture["message"]
    assert capture["remedy"]
    code, text = watched.status()
    assert code == 2
    assert "cdc stopped since" in text
    assert "wrong" not in text
    watched.services["cdc"].start()
    watched.await_state("running", *SERVICES)


def test_a_broker_that_does_not_answer_is_said_by_every_service_and_no_state_is_pretended(watched: Watched) -> None:
    with frozen(watched.flow.stack.pid("kafka")):
        began = time.monotonic()
        for name in ("cdc", "fingerprinter"):
            watched.services[name].await_saying("event=broker away", within_s=AWAY_WITHIN_S)
        assert time.monotonic() - began < AWAY_WITHIN_S
        assert await_condition(lambda: watched.get("/v1/services").get("kafka", "ok") != "ok", timeout_s=AWAY_WITHIN_S)
        answer = watched.get("/v1/services")
        assert {item["state"] for item in answer["items"]} == {"unknown"}
        assert watched.get("/v1/status")["standstill"]
    for name in SERVICES:
        watched.services[name].await_saying("event=broker back", within_s=WITHIN_S)
    watched.await_state("running", *SERVICES)
    watched.flow.sql(f"DELETE FROM {watched.flow.schema}.notes")
    watched.flow.match()
