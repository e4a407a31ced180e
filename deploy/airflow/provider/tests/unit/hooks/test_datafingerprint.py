"""The hook: what it sends, and what each refusal becomes."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import Connection

from airflow_provider_datafingerprint import calls
from airflow_provider_datafingerprint.errors import (
    DataFingerprintMisused,
    DataFingerprintRefused,
    DataFingerprintUnavailable,
)
from airflow_provider_datafingerprint.hooks.datafingerprint import DataFingerprintHook, endpoint_of


def test_it_sends_the_token_and_quotes_a_table(service: Any) -> None:
    service.answer("GET /v1/fingerprints/a%2Fb.c%20d", {"table": "a/b.c d"})
    assert DataFingerprintHook().call(calls.fingerprint("a/b.c d")) == {"table": "a/b.c d"}
    assert service.headers[0]["Authorization"] == "Bearer secret-token"


async def test_the_asynchronous_client_sends_the_same(service: Any) -> None:
    service.answer("POST /v1/audits", {"id": 1}, status=202)
    async with DataFingerprintHook().aclient() as client:
        assert await client.call(calls.AUDIT.ask({"table": "a.b", "partition": None})) == {"id": 1}
    assert service.requests == [("POST /v1/audits", {"table": "a.b", "partition": None})]


async def test_an_unchanged_answer_has_no_document(service: Any) -> None:
    service.answer("GET /v1/fingerprints", None, status=304)
    async with DataFingerprintHook().aclient() as client:
        assert (await client.reply(calls.fingerprints(etag='"1"'))).document is None
    assert service.headers[0]["If-None-Match"] == '"1"'


def test_a_connection_that_works_says_the_verdict(service: Any) -> None:
    service.answer("GET /v1/fingerprints?limit=1", {"verdict": "match", "epoch": 42})
    assert DataFingerprintHook().test_connection() == (True, "the verdict is match at epoch 42")


@pytest.mark.usefixtures("service")
def test_a_connection_that_does_not_work_says_why() -> None:
    is_well, text = DataFingerprintHook("stranger").test_connection()
    assert not is_well
    assert "401: the token is missing or wrong" in text
    is_well, text = DataFingerprintHook("nobody").test_connection()
    assert not is_well
    assert "no answer from http://127.0.0.1:1" in text


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, DataFingerprintMisused),
        (404, DataFingerprintMisused),
        (409, DataFingerprintRefused),
        (422, DataFingerprintRefused),
        (500, DataFingerprintUnavailable),
        (503, DataFingerprintUnavailable),
    ],
)
def test_a_refusal_says_the_services_own_reason(service: Any, status: int, error: type[Exception]) -> None:
    service.answer("GET /v1/status", {"error": "so it is"}, status=status)
    with pytest.raises(error, match=f"GET /v1/status: {status}: so it is"):
        DataFingerprintHook().call(calls.STATUS)


def test_an_answer_that_is_no_json_is_no_answer(service: Any) -> None:
    service.answer("GET /v1/status", None)
    with pytest.raises(DataFingerprintUnavailable, match="no JSON"):
        DataFingerprintHook().call(calls.STATUS)


def test_a_connection_describes_the_endpoint() -> None:
    endpoint = endpoint_of(
        Connection(
            conn_id="c",
            conn_type="datafingerprint",
            host="dfp.example.com",
            schema="https",
            port=443,
            extra='{"timeout_s": 5}',
        )
    )
    assert (endpoint.url, endpoint.timeout_s) == ("https://dfp.example.com:443", 5.0)
    assert endpoint.link("ootp.games") == "https://dfp.example.com:443/#ootp.games"
    public = endpoint_of(
        Connection(conn_id="c", conn_type="datafingerprint", host="http://h", extra='{"ui_url": "https://ui/"}')
    )
    assert (public.url, public.link()) == ("http://h:8000", "https://ui/")


@pytest.mark.parametrize("given", [{"host": ""}, {"host": "h", "schema": "ftp"}])
def test_a_connection_without_a_host_or_of_another_scheme_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(DataFingerprintMisused, match="it needs a host, and http or https"):
        endpoint_of(Connection(conn_id="c", conn_type="datafingerprint", **given))
