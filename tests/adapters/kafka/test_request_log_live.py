"""The requests topic on a real broker: what is asked for can be read back by its offset."""

from __future__ import annotations

import pytest

from datafingerprint.adapters.kafka.request_log import REMEMBERED_S, KafkaRequestLog
from datafingerprint.config import Settings
from datafingerprint.resync import ResyncRequest

pytestmark = pytest.mark.live


def test_requests_are_read_back_by_their_offsets_and_listed_newest_first(stack_settings: Settings) -> None:
    now = [0.0]
    log = KafkaRequestLog(stack_settings.kafka, lambda: now[0])
    assert (log.request(0), log.last(5)) == (None, [])
    asked = [ResyncRequest("a.b", partition, 1.5) for partition in (None, "x=1", "x=2")]
    assert [log.ask(request) for request in asked] == [0, 1, 2]
    assert [log.request(offset) for offset in range(4)] == [*asked, None]
    assert [entry.offset for entry in log.last(2)] == [2, 1]
    assert [entry.request for entry in log.last(9)] == asked[::-1]
    now[0] += REMEMBERED_S + 1
    assert log.request(1) == asked[1]
    log.ask(asked[0])
    assert log.request(3) == asked[0]
