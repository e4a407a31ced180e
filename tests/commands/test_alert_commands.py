"""`datafingerprint alerts` and `incidents`: what they print, and their exit statuses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
import uvicorn
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from api.application import create_app
from commands.__main__ import main
from datafingerprint.adapters.state.incidents import SqlIncidentStore
from datafingerprint.adapters.state.store import SqlStateStore
from deploy.embedded.waiting import await_condition
from tests.adapters.alerts.test_receivers import Hook
from tests.api.conftest import NOW, FakeLagReader, seed
from tests.api.test_incidents import OWNER, observe


@pytest.fixture
def hook() -> Iterator[Hook]:
    server = Hook()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def served(directory: Path) -> Iterator[tuple[SqlIncidentStore, int]]:
    """The REST service on a free port."""
    url = f"sqlite:///{directory}/state.db"
    with closing(SqlStateStore(url)) as state, closing(SqlIncidentStore(url)) as incidents, ExitStack() as quiet:
        seed(state)
        app = create_app(state, FakeLagReader(), lambda: NOW, incident_reader=incidents)
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            assert await_condition(lambda: server.started, timeout_s=30)
            quiet.enter_context(capture_logs())  # the service's log is in the output of commands otherwise
            yield incidents, server.servers[0].sockets[0].getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(main, arguments, env={f"DFP_{name}": value for name, value in environment.items()})


def test_a_test_reaches_every_receiver_and_says_which_did_not_take_it(hook: Hook) -> None:
    good = hook.url.replace("http://", "json://ops:hunter22@")
    secret = "0123456789abcdef"
    result = run("alerts", "test", ALERTS_URLS=good, ALERTS_WEBHOOK=hook.url, ALERTS_WEBHOOK_SECRET=secret)
    assert (result.exit_code, result.output.count("  sent")) == (0, 2)
    assert len(hook.posted) == 2
    hook.status = 500
    result = run("alerts", "test", ALERTS_WEBHOOK=hook.url, ALERTS_WEBHOOK_SECRET=secret)
    assert (result.exit_code, "the webhook answers 500" in result.output) == (1, True)
    assert "hunter22" not in result.output
    assert run("alerts", "test").exit_code == 2
    assert run("alerts", "test", ALERTS_URLS="nosuch://x").exit_code == 2


def test_incidents_and_alerts_are_listed(tmp_path: Path) -> None:
    with served(tmp_path) as (incidents, port):
        none = run("incidents", API_PORT=str(port))
        assert (none.exit_code, none.stdout) == (0, "no incident\n")
        assert run("alerts", "list", API_PORT=str(port)).output.startswith("no receiver")
        observe(incidents)
        some = run("incidents", "--all", API_PORT=str(port))
        assert some.exit_code == 1
        assert some.output.startswith("1  open  table ootp.games  source_gap  1 partition  since ")
        assert '"class": "source_gap"' in run("incidents", "--json", API_PORT=str(port)).output
        incidents.set_receivers(OWNER, {"json-1": "json://host/"}, NOW)
        incidents.write_test(NOW)
        incidents.begin_message(OWNER, "json-1", "m", NOW)
        listed = run("alerts", "list", API_PORT=str(port)).output
        assert (
            listed == "json-1  json://host/  sending  1 waiting\n1970-01-12T13:47:00Z  json-1  not sent  0 attempts\n"
        )
    assert run("incidents", API_PORT="1").exit_code == 2
