"""The notifier: its words."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_datafingerprint.notifications.datafingerprint import DataFingerprintNotifier, message
from tests.unit.fake_service import FakeService, fingerprint, part


def test_the_message_names_what_differs() -> None:
    item = fingerprint(None, "mismatch", part("a", "mismatch", "1 row too few"))
    text = message("d.t", {"verdict": "mismatch", "items": [item]}, "http://ui/")
    assert text == "d.t: DataFingerprint says mismatch\nootp.games a: mismatch: 1 row too few\nhttp://ui/"
    assert "no partition differs now" in message("d.t", {"verdict": "match", "items": []}, "http://ui/")


def test_it_is_posted_to_the_chat(service: FakeService, context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    service.answer("GET /v1/fingerprints?verdict=mismatch&limit=20", {"verdict": "match", "items": []})
    host = f"http%3A%2F%2F127.0.0.1%3A{service.port}%2Fhook"
    monkeypatch.setenv("AIRFLOW_CONN_CHAT", f"http://{host}")
    with pytest.raises(Exception, match="401"):  # the chat's address is asked, without the service's token
        DataFingerprintNotifier(webhook_conn_id="chat").notify(context)
    call, body = service.requests[-1]
    assert call == "POST /hook"
    assert body["text"].startswith("a.b: DataFingerprint says match")
