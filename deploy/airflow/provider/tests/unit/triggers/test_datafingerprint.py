"""The triggers: their events, what they wait out, and that they can be made again from what they serialize."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from airflow.sdk.module_loading import import_string

from airflow_provider_datafingerprint.triggers.datafingerprint import (
    DataFingerprintJobTrigger,
    DataFingerprintProofTrigger,
    VerdictTrigger,
)
from tests.unit.fake_service import FakeService, audit, fingerprint, part

CALL = "GET /v1/fingerprints/ootp.games"


async def first(trigger: Any) -> Any:
    return (await asyncio.wait_for(anext(trigger.run()), 10)).payload


def job(kind: str = "audit") -> DataFingerprintJobTrigger:
    return DataFingerprintJobTrigger(kind, 17, poll_interval=0.01)


@pytest.mark.parametrize(
    "trigger",
    [job(), DataFingerprintProofTrigger("a.b", "p", "2031-04-02T19:00:00Z", 1.0, "c", 2.0), VerdictTrigger("a.b", "c")],
)
def test_a_trigger_can_be_made_again(trigger: Any) -> None:
    path, arguments = trigger.serialize()
    assert import_string(path)(**arguments).serialize() == (path, arguments)


async def test_a_job_is_waited_for_through_an_absent_service(service: FakeService) -> None:
    away = (503, {"error": "away"})
    service.answers["GET /v1/audits/17"] = [(200, audit("running")), away, (200, audit("done", "match"))]
    assert await first(job()) == {"id": 17}


@pytest.mark.parametrize(("state", "error"), [("cancelled", "JobFailedError"), ("resting", "UnknownAnswerError")])
async def test_a_job_that_can_never_be_done_is_an_event_too(service: FakeService, state: str, error: str) -> None:
    service.answer("GET /v1/audits/17", audit(state))
    event = await first(job())
    assert event["error"] == error
    assert "audit 17 of ootp.games" in event["text"]


async def test_killing_a_deferred_task_cancels_the_job_where_the_service_can(service: FakeService) -> None:
    service.answer("DELETE /v1/audits/17", audit("cancelled"))
    await job().on_kill()
    await job("resync").on_kill()
    assert service.calls() == ["DELETE /v1/audits/17"]


async def test_a_proof_is_waited_for_and_a_mismatch_is_not(service: FakeService) -> None:
    trigger = DataFingerprintProofTrigger("ootp.games", None, "2031-04-02T19:00:00Z", 1.0, poll_interval=0.01)
    service.answers[CALL] = [(503, {"error": "away"}), (200, fingerprint("2031-04-02T18:00:00Z")), (200, fingerprint())]
    assert (await first(trigger))["proof"]["gtid"] == "0-1-7"
    service.answer(CALL, fingerprint(None, "mismatch", part("a", "mismatch", "1 row too few")))
    assert await first(trigger) == {"error": "MismatchError", "text": "ootp.games a: mismatch: 1 row too few"}


async def of(*tables: Any) -> AsyncIterator[Any]:
    for table in tables:
        yield {"ootp.games": table} if table else {}


async def test_an_asset_is_updated_once_for_the_rows_that_were_proven() -> None:
    other = {"rows": 4, "fingerprint": "6", "digest": "6" * 32}
    changed = {**fingerprint(), "source": other, "lake": other, "epoch": 9}
    stream = of(None, fingerprint(verdict="inconclusive"), fingerprint(), {**fingerprint(), "epoch": 8}, changed)
    events = [event.payload async for event in VerdictTrigger("ootp.games").filter_shared_stream(stream)]
    assert [(event["epoch"], event["rows"]) for event in events] == [(7, 3), (9, 4)]
    assert set(events[0]) == {"table", "epoch", "as_of", "gtid", "rows", "digest"}


async def test_a_proof_after_a_difference_is_news() -> None:
    stream = of(fingerprint(), fingerprint(verdict="mismatch"), fingerprint())
    events = [event async for event in VerdictTrigger("ootp.games").filter_shared_stream(stream)]
    assert len(events) == 2


async def test_all_tables_of_a_connection_share_one_poll(service: FakeService) -> None:
    service.answers["GET /v1/fingerprints"] = [
        (503, {"error": "away"}),
        (200, {"items": [fingerprint()]}),
        (304, None),
        (200, {"items": [fingerprint(verdict="mismatch")]}),
    ]
    games, players = VerdictTrigger("a.games", poll_interval=0.01), VerdictTrigger("a.players", poll_interval=0.01)
    assert games.shared_stream_key() == players.shared_stream_key()
    stream = VerdictTrigger.open_shared_stream(games.serialize()[1])
    read = [await asyncio.wait_for(anext(stream), 10) for _ in range(2)]
    assert [tables["ootp.games"]["verdict"] for tables in read] == ["match", "mismatch"]
    assert "If-None-Match" in service.headers[2]
