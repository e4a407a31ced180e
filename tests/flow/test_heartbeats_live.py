"""What capture says of the source's age while it reads a transaction that takes long."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator
from itertools import chain
from typing import Any

import pytest
import structlog

from datafingerprint.adapters.kafka.epoch_log import KafkaEpochLog
from datafingerprint.adapters.kafka.requests import KafkaRequests
from datafingerprint.adapters.mysql.source import BinlogSource
from datafingerprint.binlog.events import EventType, parse_event
from datafingerprint.binlog.packets import Events
from datafingerprint.epochs import Epoch, SourcePosition
from datafingerprint.ports.stream import EpochDraft
from deploy.embedded.waiting import await_condition
from services.cdc.capture import Capture
from tests.flow.running import Flow

pytestmark = pytest.mark.live

HEARTBEATS = (EventType.HEARTBEAT, EventType.HEARTBEAT_V2)


class SlowSource(BinlogSource):
    """Its network gives the events of one transaction so slowly that heartbeats of capture fall into it."""

    def __init__(self, *given: Any) -> None:  # noqa: ANN401 - as the adapter
        super().__init__(*given)
        self.is_slow = threading.Event()
        self.go_on = threading.Event()

    def events(self, position: SourcePosition) -> Generator[Events, None, None]:
        heartbeat = b""
        for octets in chain.from_iterable(super().events(position)):
            kind = parse_event(octets, "the test").type
            heartbeat = octets if kind in HEARTBEATS else heartbeat
            yield Events.of(octets)
            while kind is EventType.TABLE_MAP and heartbeat and not self.go_on.wait(0.05):
                self.is_slow.set()
                # Anything that makes capture look at its clock; it stands in no transaction's place.
                yield Events.of(heartbeat)


class KeepingLog(KafkaEpochLog):
    """Keeps what it has published."""

    def __init__(self, *given: Any) -> None:  # noqa: ANN401 - as the adapter
        super().__init__(*given)
        self.published: list[Epoch] = []

    def publish(self, draft: EpochDraft) -> Epoch:
        self.published.append(super().publish(draft))
        return self.published[-1]


def is_read(epoch_log: KeepingLog) -> bool:
    """Whether all tables were read to their ends."""
    return bool(epoch_log.published) and all(
        snapshot.complete for snapshot in epoch_log.published[-1].snapshots.values()
    )


def test_heartbeats_in_the_middle_of_a_transaction_do_not_say_that_nothing_is_behind(small_flow: Flow) -> None:
    settings, log = small_flow.settings, structlog.wrap_logger(structlog.ReturnLogger())
    cdc = settings.cdc.model_copy(update={"heartbeat_s": 0.2, "epoch_s": 0.2})
    source, stop = SlowSource(settings, log), threading.Event()
    with (
        contextlib.closing(KeepingLog(settings.kafka)) as epoch_log,
        contextlib.closing(KafkaRequests(settings.kafka)) as requests,
    ):
        running = threading.Thread(target=Capture(source, epoch_log, requests, cdc, log).run, args=(stop,))
        running.start()
        try:
            assert await_condition(lambda: is_read(epoch_log), timeout_s=60)
            idle = len(epoch_log.published)
            assert await_condition(lambda: len(epoch_log.published) >= idle + 3, timeout_s=60)
            small_flow.sql(f"INSERT INTO {small_flow.schema}.notes VALUES (31, 'slow')")
            assert source.is_slow.wait(60)
            slow = len(epoch_log.published)
            assert await_condition(lambda: len(epoch_log.published) >= slow + 4, timeout_s=60)
            source.go_on.set()
            assert await_condition(lambda: any(item.rows for item in epoch_log.published[slow:]), timeout_s=60)
            after = len(epoch_log.published)
            assert await_condition(lambda: len(epoch_log.published) >= after + 2, timeout_s=60)
        finally:
            source.go_on.set()
            stop.set()
            running.join(60)
    ages = [item.committed_at for item in epoch_log.published]
    # Nothing happened: the source had no others at that moment. The first slow one may have been on its way already.
    assert ages[idle] < ages[idle + 1] < ages[idle + 2]
    assert len(set(ages[slow + 1 : slow + 4])) == 1
    assert ages[after] < ages[after + 1]
