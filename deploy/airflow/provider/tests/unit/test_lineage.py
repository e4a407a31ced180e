"""What OpenLineage hears of a table."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_datafingerprint.errors import MismatchError
from airflow_provider_datafingerprint.lineage import operator_lineage
from airflow_provider_datafingerprint.operators.datafingerprint import DataFingerprintAuditOperator
from airflow_provider_datafingerprint.sensors.datafingerprint import DataFingerprintSensor
from tests.unit.fake_service import FakeService, audit, fingerprint, part


def assertion(lineage: Any) -> tuple[str, str, bool]:
    (dataset,) = lineage.inputs
    (made,) = dataset.inputFacets["dataQualityAssertions"].assertions
    assert dataset.namespace.startswith("datafingerprint://127.0.0.1:")
    return dataset.name, made.assertion, made.success


def test_an_operator_asserts_what_it_found(service: FakeService, context: dict[str, Any]) -> None:
    good = {"table": "ootp.games", **part("a")}
    service.answer("POST /v1/audits", audit("done", "match", good), audit("done", "mismatch"), status=202)
    task = DataFingerprintAuditOperator(task_id="a", table="ootp.games")
    task.execute(context)
    assert assertion(task.get_openlineage_facets_on_complete(None)) == ("ootp.games", "equals_source", True)
    with pytest.raises(MismatchError):
        task.execute(context)
    assert assertion(task.get_openlineage_facets_on_failure(None)) == ("ootp.games", "equals_source", False)


def test_a_sensor_asserts_its_proof_or_the_difference(service: FakeService, context: dict[str, Any]) -> None:
    service.answer("GET /v1/fingerprints/ootp.games", fingerprint(), fingerprint(verdict="mismatch"))
    task = DataFingerprintSensor(task_id="s", table="ootp.games", as_of="2031-04-02T19:00:00Z")
    task.execute(context)
    assert assertion(task.get_openlineage_facets_on_complete(None)) == ("ootp.games", "equals_source", True)
    with pytest.raises(MismatchError):
        task.execute(context)
    assert assertion(task.get_openlineage_facets_on_failure(None)) == ("ootp.games", "equals_source", False)


def test_nothing_is_asserted_where_nothing_was_compared() -> None:
    assert operator_lineage(None) is None
