"""Several environments beside each other: one server, broker and bucket, and nothing of the one in the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient

from datafingerprint.adapters.kafka.clients import last_record
from datafingerprint.config import load_settings
from tests.flow.running import Flow

pytestmark = pytest.mark.live

SERVICES = ("cdc", "lake_writer", "fingerprinter")
REFUSED = 2
WITHIN_S = 60.0


def beside(flow: Flow, name: str, folder: Path) -> Flow:
    """Another environment of the same tables, as docs/running.md says."""
    folder.mkdir()
    own = {
        "DFP_KAFKA_PREFIX": f"{flow.settings.kafka.prefix}-{name}",
        "DFP_LAKE_PATH": f"{flow.settings.lake.path}-{name}",
        "DFP_LAKE_CATALOG": f"sqlite:///{folder}/catalog.db",
        "DFP_STATE_URL": f"sqlite:///{folder}/state.db",
    }
    environment = {**flow.environment, **own}
    given = {key: value for key, value in environment.items() if key.startswith("DFP_")}
    return replace(
        flow, environment=environment, settings=load_settings({}, given), directory=folder, services={}
    )  # fmt: skip


def epochs_end(flow: Flow) -> int:
    """Offset of the last epoch's record."""
    record = last_record(flow.settings.kafka, f"{flow.settings.kafka.prefix}.epochs")
    return -1 if record is None else record[0]


def test_two_environments_follow_one_server_and_none_ends_the_other(small_flow: Flow, tmp_path: Path) -> None:
    flow, other = small_flow, beside(small_flow, "test", tmp_path / "other")
    try:
        flow.start()
        flow.match()
        other.start()
        other.match()
        flow.sql(f"INSERT INTO {flow.schema}.notes VALUES (1, 'both see it')")
        for first in (flow, other):
            first.match()
            assert first.assert_equal() == 70
            assert not first.ended()
            assert "taken over" not in first.service("cdc").text
        admin = KafkaAdminClient(bootstrap_servers=flow.settings.kafka.bootstrap)
        groups = {group["group_id"] for group in admin.list_groups()}
        admin.close()
        for first in (flow, other):
            assert {f"{first.settings.kafka.prefix}-{role}" for role in ("lake-writer", "fingerprinter")} <= groups

        number = str(flow.stack.blueprint.ports["source"])  # one that no other stream has
        for first in (flow, other):
            assert first.service("cdc").end() == 0
        flow.service("cdc").start(DFP_SOURCE_SERVER_ID=number)
        end = epochs_end(flow)
        flow.await_that("an epoch is published", lambda: epochs_end(flow) > end)
        refused = other.service("cdc", label="refused")
        refused.start(DFP_SOURCE_SERVER_ID=number)
        assert refused.wait(WITHIN_S) == REFUSED
        assert f"server_id {number} is in use" in refused.text.splitlines()[-1]
        flow.sql(f"INSERT INTO {flow.schema}.notes VALUES (2, 'the first goes on')")
        flow.match()
        flow.service("cdc").kill()
        flow.service("cdc").start(DFP_SOURCE_SERVER_ID=number)
        flow.sql(f"INSERT INTO {flow.schema}.notes VALUES (3, 'and again after kill -9')")
        flow.match()
    finally:
        other.end()
