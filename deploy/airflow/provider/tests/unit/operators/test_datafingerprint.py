"""The operators: what they start, what a retry goes on with, and what each end becomes."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from airflow_provider_datafingerprint.errors import (
    DataFingerprintMisused,
    DataFingerprintRefused,
    InconclusiveError,
    JobFailedError,
    MismatchError,
    UnknownAnswerError,
)
from airflow_provider_datafingerprint.operators.datafingerprint import (
    DataFingerprintAuditOperator,
    DataFingerprintResyncOperator,
    DataFingerprintScanOperator,
)
from tests.unit.fake_service import FakeService, audit, fingerprint, part

Context = dict[str, Any]
GOOD = [{"table": "ootp.games", **part("league_id=100")}]
BAD = [*GOOD, {"table": "ootp.games", **part("league_id=101", "mismatch", "1 row too few")}]


def an_audit(**more: Any) -> DataFingerprintAuditOperator:
    return DataFingerprintAuditOperator(task_id="audit", table="ootp.games", poll_interval=0.01, **more)


def test_an_audit_waits_for_its_match(service: FakeService, context: Context) -> None:
    service.answer("POST /v1/audits", audit("queued"), status=202)
    service.answer("GET /v1/audits/17", audit("running"), audit("paused"), audit("done", "match", *GOOD))
    outcome = an_audit().execute(context)
    assert (outcome["verdict"], outcome["partitions"], outcome["differing"]) == ("match", 1, [])
    assert service.requests[0] == ("POST /v1/audits", {"table": "ootp.games", "partition": None})
    assert context["pushed"]["job_id"] == 17
    assert context["pushed"]["datafingerprint_link"].endswith("/#ootp.games")


def test_a_mismatch_names_the_partitions_and_the_link_and_is_not_retried(
    service: FakeService, context: Context
) -> None:
    service.answer("POST /v1/audits", audit("done", "mismatch", *BAD), status=202)
    with pytest.raises(MismatchError, match=r"league_id=101: mismatch: 1 row too few.* See http://.*/#ootp.games"):
        an_audit().execute(context)
    outcome = an_audit(fail_on_mismatch=False).execute(context)
    assert (outcome["verdict"], outcome["differing_count"]) == ("mismatch", 1)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (audit("done", "inconclusive", {"table": "a.b", **part("x", "inconclusive", "why")}), InconclusiveError),
        (audit("done", None), InconclusiveError),
        (audit("failed"), JobFailedError),
        (audit("cancelled"), JobFailedError),
        (audit("finished", "match"), UnknownAnswerError),
        (audit("done", "equal"), UnknownAnswerError),
        (audit("done", "match", *BAD), UnknownAnswerError),
        (audit("done", "match", {"table": "a.b", **part("x", "same")}), UnknownAnswerError),
    ],
)
def test_whatever_is_no_proof_fails(service: FakeService, context: Context, answer: Any, error: Any) -> None:
    service.answer("POST /v1/audits", answer, status=202)
    with pytest.raises(error):
        an_audit().execute(context)


def test_an_unknown_table_fails_without_a_retry(service: FakeService, context: Context) -> None:
    service.answer("POST /v1/audits", {"error": "no table ootp.games; there are none yet"}, status=404)
    with pytest.raises(DataFingerprintMisused, match="no table"):
        an_audit().execute(context)


def test_a_deferred_task_has_its_id_in_xcom_and_judges_when_it_is_over(service: FakeService, context: Context) -> None:
    service.answer("POST /v1/audits", audit("queued"), status=202)
    with pytest.raises(TaskDeferred) as deferred:
        an_audit(deferrable=True).execute(context)
    assert context["pushed"]["job_id"] == 17
    _, arguments = deferred.value.trigger.serialize()
    assert (arguments["kind"], arguments["number"]) == ("audit", 17)
    service.answer("GET /v1/audits/17", audit("done", "mismatch", *BAD))
    with pytest.raises(MismatchError):
        an_audit().execute_complete(context, {"id": 17})
    with pytest.raises(JobFailedError, match="cancelled"):
        an_audit().execute_complete(context, {"error": "JobFailedError", "text": "audit 17 cancelled"})


def test_a_retry_goes_on_with_the_audit_that_the_killed_try_started(service: FakeService, context: Context) -> None:
    service.answer("POST /v1/audits", audit("queued"), status=202)
    service.answer("GET /v1/audits/17", audit("running"), audit("done", "match", *GOOD))
    with pytest.raises(TaskDeferred):  # the worker of a deferred task is gone as a killed one is
        an_audit(deferrable=True).execute(context)
    context["ti"].try_number = 2
    assert an_audit().execute(context)["verdict"] == "match"
    assert service.calls().count("POST /v1/audits") == 1


@pytest.mark.parametrize("ended", [audit("done", "mismatch", *BAD), audit("failed"), audit("cancelled")])
def test_a_retry_starts_a_new_audit_when_the_last_one_ended_badly(
    service: FakeService, context: Context, ended: Any
) -> None:
    service.answer("POST /v1/audits", audit("queued"), audit("done", "match", *GOOD, number=18), status=202)
    with pytest.raises(TaskDeferred):
        an_audit(deferrable=True).execute(context)
    service.answer("GET /v1/audits/17", ended)
    context["ti"].try_number = 2
    assert an_audit().execute(context)["id"] == 18


def test_a_task_that_was_cleared_starts_a_new_audit(service: FakeService, context: Context) -> None:
    service.answer("POST /v1/audits", audit("done", "match", *GOOD), status=202)
    service.answer("GET /v1/audits/17", audit("done", "match", *GOOD))
    service.answer("GET /v1/audits?limit=100", {"items": [audit("done", "match")]})
    an_audit().execute(context)
    context["ti"].try_number, context["ti"].max_tries = 2, 3
    an_audit().execute(context)
    assert service.calls().count("POST /v1/audits") == 2


def test_without_a_state_store_a_retry_looks_for_the_audit_on_the_server(
    service: FakeService, context: Context
) -> None:
    context["task_state_store"] = None
    context["ti"].try_number = 2
    old = {**audit("running", number=15), "asked_at": "2031-04-02T18:59:59Z"}
    other = {**audit("running", number=16), "table": "ootp.players"}
    service.answer("GET /v1/audits?limit=100", {"items": [audit("running"), other, old]})
    service.answer("GET /v1/audits/17", audit("running"), audit("done", "match", *GOOD))
    assert an_audit().execute(context)["id"] == 17
    assert "POST /v1/audits" not in service.calls()


def test_killing_the_task_cancels_the_audit_on_the_server(service: FakeService, context: Context) -> None:
    service.answer("POST /v1/audits", audit("queued"), status=202)
    service.answer("DELETE /v1/audits/17", audit("cancelled"))
    task = an_audit(wait_for_completion=False)
    task.on_kill()
    assert service.calls() == []
    assert task.execute(context) == 17
    task.on_kill()
    assert service.calls()[-1] == "DELETE /v1/audits/17"


def test_a_scan_names_its_engine_and_its_partitions(service: FakeService, context: Context) -> None:
    scan = {"id": 7, "table": "ootp.games", "partition": None, "state": "running", "verdict": "inconclusive"}
    bad = {**scan, "state": "done", "verdict": "mismatch", "partitions": BAD, "epoch": 9}
    service.answer("POST /v1/scans", scan, status=202)
    service.answer("GET /v1/scans/7", bad)
    task = DataFingerprintScanOperator(
        task_id="scan", table="ootp.games", engine="trino", poll_interval=0.01, fail_on_mismatch=False
    )
    outcome = task.execute(context)
    assert service.requests[0] == ("POST /v1/scans", {"table": "ootp.games", "partition": None, "engine": "trino"})
    assert [(item["partition"], item["reason"]) for item in outcome["differing"]] == [
        ("league_id=101", "1 row too few")
    ]


SCAN = {"id": 7, "engine": "duckdb", "table": "ootp.games", "partition": None, "state": "done", "verdict": "match"}


def a_scan() -> DataFingerprintScanOperator:
    return DataFingerprintScanOperator(task_id="scan", table="ootp.games", poll_interval=0.01)


def test_a_scan_waits_for_its_turn_on_the_engine(service: FakeService, context: Context) -> None:
    busy = (422, {"error": "1 scans run on duckdb already"})
    service.answers["POST /v1/scans"] = [busy, busy, busy, (202, SCAN)]
    running = {"items": [{**SCAN, "state": "running"}]}
    ended = {"items": [SCAN, {**SCAN, "engine": "trino", "state": "running"}]}
    service.answer("GET /v1/scans?limit=100", running, ended, running)
    assert a_scan().execute(context)["verdict"] == "match"
    assert service.calls().count("POST /v1/scans") == 4


def test_a_scan_that_an_idle_engine_refuses_fails_with_the_reason(service: FakeService, context: Context) -> None:
    service.answer("POST /v1/scans", {"error": "no engine x is in the settings"}, status=422)
    service.answer("GET /v1/scans?limit=100", {"items": [SCAN]})
    with pytest.raises(DataFingerprintRefused, match="no engine x"):
        a_scan().execute(context)
    assert service.calls().count("POST /v1/scans") == 2


def test_a_resync_is_left_out_where_the_table_does_not_differ(service: FakeService, context: Context) -> None:
    service.answer("GET /v1/fingerprints/ootp.games", fingerprint(), fingerprint(verdict="mismatch"))
    resync = {"id": 3, "table": "ootp.games", "partition": None, "state": "queued", "verdict": None}
    service.answer("POST /v1/resyncs", resync, status=202)
    done = {**resync, "state": "done", "verdict": "match", "epoch": 12}
    service.answer("GET /v1/resyncs/3", {**resync, "state": "running"}, done)
    task = DataFingerprintResyncOperator(task_id="r", table="ootp.games", only_on_mismatch=True, poll_interval=0.01)
    assert task.execute(context)["id"] is None
    assert task.execute(context)["id"] == 3
    task.on_kill()
    assert not [call for call in service.calls() if call.startswith("DELETE")]


def test_a_resync_with_the_number_0_is_gone_on_with(service: FakeService, context: Context) -> None:
    resync = {"id": 0, "table": "ootp.games", "partition": None, "state": "queued", "verdict": None}
    service.answer("POST /v1/resyncs", resync, status=202)
    service.answer("GET /v1/resyncs/0", {**resync, "state": "done", "verdict": "match", "epoch": 12})
    task = DataFingerprintResyncOperator(task_id="r", table="ootp.games", wait_for_completion=False)
    assert task.execute(context) == 0
    context["ti"].try_number = 2
    assert task.execute(context) == 0
    assert service.calls().count("POST /v1/resyncs") == 1


def test_what_names_a_job_is_templated() -> None:
    assert {"table", "partition", "engine"} <= set(DataFingerprintScanOperator.template_fields)
    assert {"table", "partition"} <= set(DataFingerprintAuditOperator.template_fields)
