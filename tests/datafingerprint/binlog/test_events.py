"""Only events on the list are parsed. Any other event stops capture at its position."""

from __future__ import annotations

import struct

import pytest

from datafingerprint.binlog.events import EventType, parse_event
from datafingerprint.errors import DecodeError

KNOWN = {int(kind) for kind in EventType}


@pytest.mark.parametrize("number", sorted(set(range(256)) - KNOWN))
def test_an_event_that_is_not_on_the_list_stops_capture(number: int) -> None:
    """Incidents and the events of group replication are among these."""
    data = struct.pack("<IBIIIH", 0, number, 1, 19, 100, 0)
    with pytest.raises(DecodeError, match=rf"an event of the unknown type {number}") as error:
        parse_event(data, "binlog.000001:100")
    assert error.value.where == "binlog.000001:100"
    assert error.value.remedy
