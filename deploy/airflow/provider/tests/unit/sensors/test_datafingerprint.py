"""The sensors: what is proof enough, what is waited for, and what fails at once."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSensorTimeout, TaskDeferred

from airflow_provider_datafingerprint.errors import DataFingerprintMisused, MismatchError, UnknownAnswerError
from airflow_provider_datafingerprint.sensors.datafingerprint import DataFingerprintLakeSensor, DataFingerprintSensor
from tests.unit.fake_service import OTHER, FakeService, fingerprint, part

Context = dict[str, Any]
CALL = "GET /v1/fingerprints/ootp.games"
MOMENT = "2031-04-02T19:00:00Z"


def sensor(**more: Any) -> DataFingerprintSensor:
    given = {"task_id": "s", "table": "ootp.games", "as_of": MOMENT, "poke_interval": 0.01, "timeout": 10}
    return DataFingerprintSensor(**{**given, **more})


def test_it_waits_until_the_position_is_late_enough_and_gives_the_proof(service: FakeService, context: Context) -> None:
    early, within_the_margin = fingerprint("2031-04-02T18:59:59Z"), fingerprint("2031-04-02T19:00:01Z")
    service.answer(CALL, fingerprint(None, "inconclusive"), early, within_the_margin, fingerprint())
    proof = sensor().execute(context)
    assert (proof["epoch"], proof["gtid"], proof["rows"]) == (7, "0-1-7", 3)
    assert proof["digest"] == "5f0c22d1b07e4a59803f3fb67151d000"
    assert len(service.requests) == 4


@pytest.mark.parametrize("as_of", [None, "2031-04-02T18:00:00Z", "2031-04-02T20:00:00Z"])
def test_a_mismatch_fails_at_once_at_any_position(service: FakeService, context: Context, as_of: str | None) -> None:
    service.answer(CALL, fingerprint(as_of, "mismatch", part("league_id=100"), part("b", "mismatch", "1 row too few")))
    with pytest.raises(MismatchError, match=r"ootp\.games b: mismatch: 1 row too few"):
        sensor().execute(context)


def test_a_partition_is_judged_alone(service: FakeService, context: Context) -> None:
    parts = part("a"), part("b", "mismatch", "1 row too few"), part("c", "inconclusive", "snapshot at 4 %")
    service.answer(CALL, fingerprint("2031-04-02T20:00:00Z", "mismatch", *parts))
    assert sensor(partition="a").execute(context)["partition"] == "a"
    with pytest.raises(MismatchError, match=r"ootp\.games b"):
        sensor(partition="b").execute(context)
    with pytest.raises(AirflowSensorTimeout):
        sensor(partition="c", timeout=0.05).execute(context)
    with pytest.raises(DataFingerprintMisused, match="no partition d"):
        sensor(partition="d").execute(context)


def test_a_partition_that_is_not_there_yet_is_waited_for(service: FakeService, context: Context) -> None:
    service.answer(CALL, fingerprint("2031-04-02T18:00:00Z"), fingerprint("2031-04-02T20:00:00Z", "match", part("d")))
    assert sensor(partition="d").execute(context)["partition"] == "d"


def test_inconclusive_and_an_absent_service_are_waited_for(service: FakeService, context: Context) -> None:
    service.answers[CALL] = [(200, fingerprint(verdict="inconclusive")), (503, {"error": "away"}), (200, fingerprint())]
    assert sensor().execute(context)["epoch"] == 7


def test_an_unknown_table_and_a_wrong_token_fail_at_once(service: FakeService, context: Context) -> None:
    service.answer(CALL, {"error": "no table ootp.games; there are ootp.players"}, status=404)
    with pytest.raises(DataFingerprintMisused, match=r"there are ootp\.players"):
        sensor().execute(context)
    with pytest.raises(DataFingerprintMisused, match="token"):
        sensor(datafingerprint_conn_id="stranger").execute(context)
    with pytest.raises(DataFingerprintMisused, match="as_of is no moment"):
        sensor(as_of="yesterday").execute(context)


@pytest.mark.parametrize("answer", [fingerprint(verdict="equal"), {**fingerprint(), "lake": OTHER}])
def test_what_it_does_not_know_is_not_equal(service: FakeService, context: Context, answer: Any) -> None:
    service.answer(CALL, answer)
    with pytest.raises(UnknownAnswerError):
        sensor().execute(context)


def test_a_deferred_sensor_looks_first_and_takes_the_triggers_proof(service: FakeService, context: Context) -> None:
    service.answer(CALL, fingerprint(), fingerprint("2031-04-02T18:00:00Z"))
    assert sensor(deferrable=True).execute(context)["epoch"] == 7
    with pytest.raises(TaskDeferred) as deferred:
        sensor(deferrable=True).execute(context)
    proof = {"epoch": 8, "rows": 3, "gtid": "0-1-8"}
    assert deferred.value.trigger.serialize()[1]["as_of"] == "2031-04-02T19:00:00+00:00"
    assert sensor().execute_complete(context, {"proof": proof}) == proof
    with pytest.raises(MismatchError):
        sensor().execute_complete(context, {"error": "MismatchError", "text": "a b"})


def test_the_lake_sensor_asks_for_the_position_alone(service: FakeService, context: Context) -> None:
    early = {"epoch": 6, "as_of": "2031-04-02T18:00:00Z", "position": {"gtid": "0-1-6"}, "verdict": "match"}
    late = {**early, "epoch": 8, "as_of": "2031-04-02T19:00:05Z", "verdict": "mismatch"}
    service.answers["GET /v1/status"] = [(200, {**early, "as_of": None}), (503, {"error": "x"}), (200, early)]
    service.answers["GET /v1/status"].append((200, late))
    task = DataFingerprintLakeSensor(task_id="s", as_of=MOMENT, poke_interval=0.01)
    assert task.execute(context)["epoch"] == 8
