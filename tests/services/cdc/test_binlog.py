"""Only events that are on the list are read; any other one stops capture where it stands."""

from __future__ import annotations

import struct

import pytest

from datafingerprint.errors import DecodeError
from services.cdc.binlog import EventType, parse_event

KNOWN = {int(kind) for kind in EventType}


@pytest.mark.parametrize("number", sorted(set(range(256)) - KNOWN))
def test_an_event_that_is_not_on_the_list_stops_capture(number: int) -> None:
    """Among them those of incidents, of partial updates, of group replication and of statements with their files."""
    octets = struct.pack("<IBIIIH", 0, number, 1, 19, 100, 0)
    with pytest.raises(DecodeError, match=rf"event of type {number} is not understood|logged in part only") as refusal:
        parse_event(octets, "binlog.000001:100")
    assert refusal.value.where == "binlog.000001:100"
    assert refusal.value.remedy
