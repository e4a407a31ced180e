"""An audit of re-read tables is requested once, when the running sums have their rows."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import structlog
from structlog.testing import capture_logs

from datafingerprint.audits import Origin, Scope
from datafingerprint.errors import StateError, Unavailable
from datafingerprint.ledger import Progress
from services.cdc.reread_audits import RereadAudits

LONG_S = 30.0


class Store:
    """A state store whose sums reach an epoch when the test says so."""

    def __init__(self, *failures: Exception) -> None:
        self.queued: list[tuple[Scope, Origin]] = []
        self.epoch = 0
        self.stream_id: str | None = "stream"
        self.looked = threading.Event()
        self._failures = list(failures)

    @contextlib.contextmanager
    def open(self) -> Iterator[Store]:
        if self._failures:
            raise self._failures.pop(0)
        yield self

    def progress(self) -> Progress:
        self.looked.set()
        return Progress(self.stream_id, epoch=self.epoch)

    def queue_audit(self, scope: Scope, origin: Origin, now: float) -> int:
        assert now > 0
        self.queued.append((scope, origin))
        return len(self.queued)


def audits(targets: dict[str, str | None], store: Store) -> RereadAudits:
    return RereadAudits(targets, store.open, structlog.get_logger(), poll_s=0.001)


def test_exactly_the_named_tables_are_audited_once_the_sums_have_them() -> None:
    store = Store()
    asking = audits({"s.a": None, "s.b": "year=2031", "s.c": None}, store)
    asking.note_read(["s.a", "s.b", "s.other"], 7)
    assert store.looked.wait(LONG_S)
    assert store.queued == []
    store.epoch = 7
    asking.finish(LONG_S)
    expected = [(Scope("s.a"), Origin.COMMAND), (Scope("s.b", "year=2031"), Origin.COMMAND)]
    assert store.queued == expected
    asking.note_read(["s.a", "s.b"], 8)
    asking.finish(LONG_S)
    assert store.queued == expected


def test_all_tables_are_one_audit() -> None:
    store = Store()
    store.epoch = 9
    asking = audits({"*": None}, store)
    asking.note_read(["s.a", "s.b"], 9)
    asking.finish(LONG_S)
    assert store.queued == [(Scope(), Origin.COMMAND)]


def test_the_end_requests_pending_audits_at_once() -> None:
    store = Store()
    asking = audits({"s.a": None}, store)
    asking.note_read(["s.a"], 7)
    asking.finish(0.0)
    assert store.queued == [(Scope("s.a"), Origin.COMMAND)]


def test_a_store_that_is_away_is_tried_again() -> None:
    store = Store(Unavailable("the store is away"))
    store.epoch = 7
    asking = audits({"s.a": None}, store)
    asking.note_read(["s.a"], 7)
    asking.finish(LONG_S)
    assert store.queued == [(Scope("s.a"), Origin.COMMAND)]


def test_an_audit_that_cannot_be_requested_is_logged_with_its_command() -> None:
    store = Store(StateError("it is of another version"))
    with capture_logs() as lines:
        asking = audits({"s.b": "year=2031"}, store)
        asking.note_read(["s.b"], 7)
        asking.finish(LONG_S)
    (line,) = lines
    assert (line["log_level"], line["event"]) == ("warning", "audit not requested")
    assert line["remedy"] == "datafingerprint audit s.b --partition year=2031"
    assert store.queued == []


def test_a_store_without_a_fingerprinter_gets_no_request() -> None:
    store = Store()
    store.stream_id = None
    with capture_logs() as lines:
        asking = audits({"*": None}, store)
        asking.note_read(["s.b"], 7)
        asking.finish(0.0)
    assert [line["remedy"] for line in lines] == ["datafingerprint audit"]
    assert store.queued == []


def test_without_a_command_nothing_is_requested() -> None:
    store = Store()
    asking = audits({}, store)
    asking.note_read(["s.a"], 7)
    asking.finish(0.0)
    assert store.queued == []
