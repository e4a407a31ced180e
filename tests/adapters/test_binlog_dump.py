from __future__ import annotations

import io
import socket
import threading
import zlib
from collections.abc import Iterator
from itertools import chain
from types import SimpleNamespace
from typing import Any, cast

import pymysql
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafingerprint.adapters import binlog_dump
from datafingerprint.adapters.binlog_dump import _Patient, dump
from datafingerprint.adapters.server import Replica
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import DataFingerprintError, Unavailable


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=30), st.integers(1, 64))
def test_whatever_is_sent_is_read_in_its_order_and_to_its_end(pieces: list[bytes], buffered: int) -> None:
    here, there = socket.socketpair()
    with here, there, here.makefile("rb", buffering=buffered) as stream:

        def send() -> None:
            for piece in pieces:
                there.sendall(piece)
            there.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        connection = cast("Any", SimpleNamespace(_sock=here, _rfile=stream))
        found = io.BufferedReader(_Patient(connection), 128).read()
        sender.join()
    assert found == b"".join(pieces)


def test_a_time_out_of_the_connection_ends_the_reading() -> None:
    here, there = socket.socketpair()
    with here, there, here.makefile("rb") as stream:
        here.settimeout(0.01)
        reader = io.BufferedReader(_Patient(cast("Any", SimpleNamespace(_sock=here, _rfile=stream))), 128)
        with pytest.raises(TimeoutError):
            reader.read(1)


@pytest.fixture(scope="module", params=["native", "python"], autouse=True)
def way(request: pytest.FixtureRequest) -> Iterator[None]:
    """With and without the library, which is not built where there is no compiler."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "python":
            patch.setattr(binlog_dump, "binlog", lambda: None)
        yield


class Sent:
    """A server that has sent what it was asked for already; it says whether events have checksums."""

    def __init__(self, *, checksums: bool) -> None:
        self.checksums = checksums

    def request_dump(self, connection: Any, *_: object) -> bool:  # noqa: ANN401 - a pymysql connection
        # As every command that the client library sends.
        connection._sock.settimeout(connection._write_timeout)
        connection._current_timeout = connection._write_timeout
        return self.checksums


def packets(events: list[bytes], *, checksums: bool) -> bytes:
    """Events in packets, those that are too long for one in several; numbered from 1 on."""
    octets, number = b"", 1
    for event in events:
        content = b"\0" + event + (zlib.crc32(event).to_bytes(4, "little") if checksums else b"")
        while True:
            part, content = content[:0xFFFFFF], content[0xFFFFFF:]
            octets += len(part).to_bytes(3, "little") + bytes([number % 256]) + part
            number += 1
            if len(part) < 0xFFFFFF:
                break
    return octets


def dumped(octets: bytes, piece: int, *, checksums: bool) -> tuple[list[bytes], str]:
    """The events that come out when these octets are sent in pieces, and what ends them."""
    here, there = socket.socketpair()
    connection = pymysql.Connection(defer_connect=True)
    with here, there, here.makefile("rb") as stream:
        asked = cast("Any", connection)
        asked._sock, asked._rfile, asked._next_seq_id = here, stream, 1

        def send() -> None:
            for at in range(0, len(octets), piece):
                there.sendall(octets[at : at + piece])
            there.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        events: list[bytes] = []
        try:
            server = cast("Any", Sent(checksums=checksums))
            for together in dump(server, connection, SourcePosition("", "", 0), Replica(1, 1.0), "there"):
                events += together
        except DataFingerprintError as error:
            said = str(error)
        sender.join()
    return events, said


@given(st.lists(st.binary(min_size=19, max_size=300), max_size=600), st.integers(1, 4_000), st.booleans())
@settings(max_examples=40, deadline=None)
def test_every_event_comes_out_once_in_its_order(events: list[bytes], piece: int, checksums: bool) -> None:
    found, said = dumped(packets(events, checksums=checksums), piece, checksums=checksums)
    assert found == events
    assert "Lost connection" in said


def test_events_longer_than_a_packet_stand_among_the_others_whole() -> None:
    events = [bytes(40), b"x" * 0x1FFFFFE, bytes(50), b"y" * (0xFFFFFE - 4), bytes(60), b"z" * 0x1000000]
    found, _ = dumped(packets(events, checksums=True), 1 << 20, checksums=True)
    assert [len(one) for one in found] == [len(one) for one in events]
    assert found == events


def test_a_wrong_checksum_ends_the_events_behind_those_before_it() -> None:
    octets = packets([bytes(40), b"a" * 40], checksums=True)
    found, said = dumped(octets[:-1] + b"!" + packets([bytes(40)], checksums=True), 1 << 20, checksums=True)
    assert found == [bytes(40)]
    assert "checksum is wrong" in said


def test_what_the_server_says_instead_of_an_event_ends_them_too() -> None:
    error = b"\xff" + (1236).to_bytes(2, "little") + b"#HY000Could not find first log file name"
    for content, expected in ((error, "Could not find first log"), (b"\xfe\0\0\0\0", "ended the binlog dump")):
        octets = packets([bytes(40)], checksums=False) + len(content).to_bytes(3, "little") + b"\2" + content
        found, said = dumped(octets, 1 << 20, checksums=False)
        assert found == [bytes(40)]
        assert expected in said


def test_a_server_that_falls_silent_is_away_after_the_read_timeout() -> None:
    """Also when all that it sent came in whole packets, which the client library then never reads."""
    here, there = socket.socketpair()
    connection = pymysql.Connection(defer_connect=True, read_timeout=1)
    with here, there, here.makefile("rb") as stream:
        asked = cast("Any", connection)
        asked._sock, asked._rfile, asked._next_seq_id = here, stream, 1
        there.sendall(packets([bytes(40), bytes(50)], checksums=True))
        server = cast("Any", Sent(checksums=True))
        events = dump(server, connection, SourcePosition("", "", 0), Replica(1, 1.0), "there")
        found: list[bytes] = []
        with pytest.raises(Unavailable, match="timed out"):
            found.extend(chain.from_iterable(events))
    assert [len(one) for one in found] == [40, 50]
