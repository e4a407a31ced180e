"""SIGTERM ends every service with status 0, and all that they ever say is structured and holds no secret."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import httpx
import pytest

from tests.flow.running import Flow

pytestmark = pytest.mark.live

COMMANDS = {
    "capture": ("capture",),
    "write-lake": ("write-lake",),
    "fingerprint": ("fingerprint",),
    "audit": ("audit", "--serve"),
    "serve": ("serve",),
}
WITHIN_S = 30.0
TOKEN = "of-sixteen-or-more"


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def test_every_service_ends_at_work_with_status_0_and_says_what_machines_can_read(
    small_flow: Flow,
    tmp_path: Path,
) -> None:
    small_flow.environment |= {"DFP_LOG_FORMAT": "json", "DFP_LOG_LEVEL": "debug", "DFP_API_TOKEN": TOKEN}
    services = {name: small_flow.service("commands", *words, label=name) for name, words in COMMANDS.items()}
    signs = {name: tmp_path / f"{name}.alive" for name in services}
    for name, item in services.items():
        item.start(DFP_HEALTH_FILE=str(signs[name]))
    url = f"http://127.0.0.1:{small_flow.environment['DFP_API_PORT']}"
    small_flow.await_that("everything is ready", lambda: is_ready(url))
    small_flow.sql(f"DELETE FROM {small_flow.schema}.notes")
    small_flow.settle()
    assert httpx.get(f"{url}/v1/status", timeout=5).status_code == 401
    assert {name: entry.child.poll() for name, entry in services.items()} == dict.fromkeys(services)
    assert [name for name, file in signs.items() if not file.exists()] == []
    for number, item in enumerate(services.values()):
        item.child.send_signal(signal.SIGINT if number % 2 else signal.SIGTERM)
    assert {name: entry.wait(WITHIN_S) for name, entry in services.items()} == dict.fromkeys(services, 0)
    settings = small_flow.settings
    secrets = [settings.source.password.get_secret_value(), settings.s3.secret_key.get_secret_value(), TOKEN]
    for name, item in services.items():
        lines = [json.loads(line) for line in item.text.splitlines()]
        assert lines, name
        assert all({"timestamp", "level", "service", "event"} <= set(line) for line in lines), name
        assert len({line["service"] for line in lines}) == 1, name
        assert not any(secret in item.text for secret in secrets), name
