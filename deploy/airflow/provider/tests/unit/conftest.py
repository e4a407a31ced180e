"""A service that answers as a test says, and a connection to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.fake_service import TOKEN, FakeService, FakeStore


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeService]:
    fake = FakeService()
    for name, token in (("DATAFINGERPRINT_DEFAULT", TOKEN), ("STRANGER", "wrong")):
        connection = {"conn_type": "datafingerprint", "host": "127.0.0.1", "port": fake.port, "password": token}
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(connection))
    nobody = {"conn_type": "datafingerprint", "host": "127.0.0.1", "port": 1}
    monkeypatch.setenv("AIRFLOW_CONN_NOBODY", json.dumps(nobody))
    yield fake
    fake.close()


@pytest.fixture
def context() -> dict[str, Any]:
    """A task's context in its first try; `pushed` is what went to XCom."""
    pushed: dict[str, Any] = {}
    instance = SimpleNamespace(
        try_number=1, max_tries=2, dag_id="a", task_id="b", xcom_push=lambda key, value: pushed.update({key: value})
    )
    run = SimpleNamespace(start_date="2031-04-02T19:00:00Z")
    return {"ti": instance, "dag_run": run, "task_state_store": FakeStore(), "pushed": pushed}
