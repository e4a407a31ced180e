"""A damaged table is one incident and one message at real receivers, whatever is killed or away meanwhile."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from datafingerprint.adapters.state.incidents import SqlIncidentStore
from deploy.embedded.ports import free_ports
from tests.adapters.alerts.test_receivers import Hook

pytestmark = pytest.mark.live

SECRET = "0123456789abcdef"


class Mailbox:
    """Keeps every mail that the SMTP server takes."""

    def __init__(self) -> None:
        self.mails: list[Message] = []

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - its name
        assert isinstance(envelope.content, bytes)
        self.mails.append(message_from_bytes(envelope.content))
        return "250 OK"

    @property
    def subjects(self) -> list[str]:
        return [str(mail["Subject"]).removeprefix("DataFingerprint: ") for mail in self.mails]


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    box = Mailbox()
    (port,) = free_ports(1)
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield box, port
    finally:
        controller.stop()


@pytest.fixture
def hook() -> Iterator[Hook]:
    server = Hook()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def data_file(flow: Any, league: int) -> str:  # noqa: ANN401 - made by tests/flow/conftest.py, which cannot be imported
    return str(next(path for path in flow.live_files("players") if f"league_id={league}/" in path))


def test_a_damaged_table_is_one_incident_and_one_message_over_kills_and_outages(
    standing_flow: Any,  # noqa: ANN401 - as above
    mailbox: tuple[Mailbox, int],
    hook: Hook,
) -> None:
    flow, (box, port) = standing_flow, mailbox
    flow.settle()
    flow.await_that("all match", lambda: not flow.mismatches())
    environment = {
        "DFP_ALERTS_URLS": f"mailto://127.0.0.1:{port}?from=dfp@example.com&to=ops@example.com&mode=insecure",
        "DFP_ALERTS_WEBHOOK": hook.url,
        "DFP_ALERTS_WEBHOOK_SECRET": SECRET,
        "DFP_ALERTS_QUIET_S": "3",
        "DFP_ALERTS_GROUP_S": "1",
        "DFP_ALERTS_PUBLIC_URL": "https://dfp.example",
    }
    notifier = flow.service("notifier")
    notifier.start(**{**environment, "DFP_ALERTS_URLS": "slack://hunter22"})
    assert notifier.wait(60) == 2
    assert "URL 1 of setting alerts.urls cannot work" in notifier.text
    assert "hunter22" not in notifier.text

    notifier.start(**environment)
    notifier.await_saying("notifying")
    # The mail server works, the webhook does not.
    hook.status = 503
    paths = [data_file(flow, league) for league in (1, 2)]
    whole = {path: flow.get_object(path) for path in paths}
    for path in paths:
        flow.put_object(path, b"garbage" + whole[path][7:-7] + b"garbage")
    flow.await_that("a mail", lambda: bool(box.mails))
    flow.await_that("both partitions differ", lambda: len(flow.mismatches()) == 2)
    flow.await_that("a failed attempt", lambda: bool(hook.posted))
    url = flow.settings.state.database.get_secret_value()
    store = SqlIncidentStore(url)
    try:
        (incident,) = store.incidents(is_open=True)
        assert (incident.subject.name, incident.incident_class.value) == (f"{flow.schema}.players", "file_damaged")
        flow.await_that(
            "both partitions are counted", lambda: store.incidents(is_open=True)[0].partition_count == len(paths)
        )
        # A mail that was taken when the notifier is killed before it stores that would come twice.
        flow.await_that("the mail is stored as sent", lambda: any(sent.sent_at for sent in store.messages()))
        # Killed between the outbox and the receiver; the next one sends what is stored, under the same id.
        notifier.kill()
        began = json.loads(hook.posted[0][1])["id"]
        refused = len(hook.posted)
        hook.status = 200
        notifier.start(**environment)
        flow.await_that("the webhook has it", lambda: len(hook.posted) > refused)
        for path in paths:
            flow.put_object(path, whole[path])
        flow.await_that("recovered", lambda: len(box.mails) > 1 and len(hook.posted) > refused + 1)
        assert store.incidents(is_open=True) == []
        assert next(result.number for result in store.incidents()) == incident.number
    finally:
        store.close()
    assert notifier.end() == 0
    name = f"table {flow.schema}.players, file_damaged"
    assert box.subjects == [f"opened: {name}", f"recovered: {name}"]
    text = str(box.mails[0].get_payload(decode=True), "utf-8")  # type: ignore[arg-type]
    assert f"https://dfp.example/incidents/{incident.number}" in text
    assert "league_id=" in text
    taken = [json.loads(body) for _, body in hook.posted[refused:]]
    assert [[notice["kind"] for notice in message["notices"]] for message in taken] == [["opened"], ["recovered"]]
    assert taken[0]["id"] == began
    assert {json.loads(body)["id"] for _, body in hook.posted[:refused]} == {began}
    assert SECRET not in notifier.text
    assert "topsecretpath" not in notifier.text


def test_a_lake_writer_that_hangs_is_one_incident_of_the_flow_until_the_lake_has_all_changes(
    standing_flow: Any,  # noqa: ANN401 - as above
) -> None:
    """Lag, then an old comparison: one incident that escalates, and closes by itself."""
    flow = standing_flow
    flow.settle()
    notifier, writer = flow.service("notifier"), flow.service("lake_writer")
    store = SqlIncidentStore(flow.settings.state.database.get_secret_value())
    try:
        notifier.start(
            DFP_ALERTS_QUIET_S="2",
            DFP_ALERTS_LAG_S="2",
            DFP_ALERTS_STALE_S="6",
            DFP_ALERTS_SILENT_S="600",
            DFP_ALERTS_INCONCLUSIVE_S="600",
        )
        notifier.await_saying("notifying")
        writer.child.send_signal(signal.SIGSTOP)
        flow.sql(f"INSERT INTO {flow.schema}.notes (league_id, note) VALUES (1, 'late')")
        flow.await_that("an incident of the flow", lambda: bool(store.incidents(is_open=True)))
        (incident,) = store.incidents(is_open=True)
        assert (incident.subject.kind.value, incident.subject.name) == ("flow", "lake")
        flow.await_that("it escalates", lambda: store.incidents(is_open=True)[0].incident_class.value == "data_stale")
        writer.child.send_signal(signal.SIGCONT)
        flow.await_that("it closes", lambda: not store.incidents(is_open=True))
        kinds = [event.kind.value for event in reversed(store.events(incident=incident.number))]
        assert [kind for kind in kinds if kind != "incident_changed"] == [
            "incident_opened", "incident_escalated", "incident_closed",
        ]  # fmt: skip
        flow.settle()
        flow.await_that("all match", lambda: not flow.mismatches())
    finally:
        writer.child.send_signal(signal.SIGCONT)
        store.close()
        notifier.end()
