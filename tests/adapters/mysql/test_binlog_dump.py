"""Every event of a dump is read once and in order, with and without checksums."""

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

from datafingerprint.adapters.mysql import binlog_dump
from datafingerprint.adapters.mysql.binlog_dump import _BatchingStream, dump
from datafingerprint.adapters.mysql.server import Replica
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import DataFingerprintError, Unavailable


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=30), st.integers(1, 64))
def test_all_data_is_read_in_order_to_its_end(pieces: list[bytes], buffered: int) -> None:
    here, there = socket.socketpair()
    with here, there, here.makefile("rb", buffering=buffered) as stream:

        def send() -> None:
            for piece in pieces:
                there.sendall(piece)
            there.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        connection = cast("Any", SimpleNamespace(_sock=here, _rfile=stream))
        data = io.BufferedReader(_BatchingStream(connection), 128).read()
        sender.join()
    assert data == b"".join(pieces)


def test_a_timeout_of_the_connection_ends_the_read() -> None:
    here, there = socket.socketpair()
    with here, there, here.makefile("rb") as stream:
        here.settimeout(0.01)
        reader = io.BufferedReader(_BatchingStream(cast("Any", SimpleNamespace(_sock=here, _rfile=stream))), 128)
        with pytest.raises(TimeoutError):
            reader.read(1)


@pytest.fixture(scope="module", params=["native", "python"], autouse=True)
def way(request: pytest.FixtureRequest) -> Iterator[None]:
    """With and without the native library, which needs a compiler."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "python":
            patch.setattr(binlog_dump, "native_binlog", lambda: None)
        yield


class Sent:
    """A server that has already sent the requested dump."""

    def request_dump(self, connection: Any, *_: object) -> None:  # noqa: ANN401 - a pymysql connection
        # Like every command of the client library.
        connection._sock.settimeout(connection._write_timeout)
        connection._current_timeout = connection._write_timeout


def with_checksum(event: bytes) -> bytes:
    return event + zlib.crc32(event).to_bytes(4, "little")


def description(*, checksums: bool) -> bytes:
    """The first event of a file, which always has bytes for a checksum."""
    event = bytes(4) + b"\x0f" + bytes(80) + bytes([checksums])
    return with_checksum(event) if checksums else event + b"none"


def logged(events: list[bytes], *, checksums: bool) -> list[bytes]:
    """The events of a file as a server sends them."""
    return [description(checksums=checksums), *(with_checksum(event) if checksums else event for event in events)]


def packets(events: list[bytes], *, checksums: bool) -> bytes:
    """The events of a file, in packets."""
    return packed(logged(events, checksums=checksums))


def packed(sent: list[bytes]) -> bytes:
    """Events in packets, numbered from 1. An event too long for one packet gets several."""
    data, number = b"", 1
    for event in sent:
        content = b"\0" + event
        while True:
            part, content = content[:0xFFFFFF], content[0xFFFFFF:]
            data += len(part).to_bytes(3, "little") + bytes([number % 256]) + part
            number += 1
            if len(part) < 0xFFFFFF:
                break
    return data


def dumped(data: bytes, piece: int) -> tuple[list[bytes], str]:
    """The events of data that is sent in pieces, without descriptions, and the final error."""
    here, there = socket.socketpair()
    connection = pymysql.Connection(defer_connect=True)
    with here, there, here.makefile("rb") as stream:
        patched = cast("Any", connection)
        patched._sock, patched._rfile, patched._next_seq_id = here, stream, 1

        def send() -> None:
            for at in range(0, len(data), piece):
                there.sendall(data[at : at + piece])
            there.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        events: list[bytes] = []
        try:
            server = cast("Any", Sent())
            for batch in dump(server, connection, SourcePosition("", "", 0), Replica(1, 1.0), "there"):
                events += [event for event in batch if event[4] != DESCRIBES]
        except DataFingerprintError as error:
            message = str(error)
        sender.join()
    return events, message


DESCRIBES = 15
EVENT = st.binary(min_size=19, max_size=300).filter(lambda event: event[4] != DESCRIBES)


@given(st.lists(EVENT, max_size=600), st.integers(1, 4_000), st.booleans())
@settings(max_examples=40, deadline=None)
def test_every_event_is_read_once_in_order(events: list[bytes], piece: int, checksums: bool) -> None:
    received, message = dumped(packets(events, checksums=checksums), piece)
    assert received == events
    assert "Lost connection" in message


@given(st.lists(st.tuples(st.booleans(), st.lists(EVENT, max_size=8)), max_size=20), st.integers(1, 4_000))
@settings(max_examples=40, deadline=None)
def test_each_file_says_whether_its_events_have_checksums(files: list[tuple[bool, list[bytes]]], piece: int) -> None:
    sent = [event for checksums, events in files for event in logged(events, checksums=checksums)]
    received, message = dumped(packed(sent), piece)
    assert received == [event for _, events in files for event in events]
    assert "Lost connection" in message


@pytest.mark.parametrize("checksums", [True, False])
def test_an_event_before_the_first_file_may_or_may_not_have_a_checksum(checksums: bool) -> None:
    made_up = bytes(4) + b"\x04" + bytes(14) + b"binlog.000001"
    sent = [with_checksum(made_up) if checksums else made_up, *logged([bytes(40)], checksums=not checksums)]
    assert dumped(packed(sent), 1 << 20)[0] == [made_up, bytes(40)]


def test_an_unknown_checksum_algorithm_is_refused() -> None:
    event = description(checksums=True)[:-5] + b"\x07"
    assert "unknown checksum algorithm 7" in dumped(packed([with_checksum(event)]), 1 << 20)[1]


def test_events_longer_than_a_packet_are_read_whole_and_in_order() -> None:
    events = [bytes(40), b"x" * 0x1FFFFFE, bytes(50), b"y" * (0xFFFFFE - 4), bytes(60), b"z" * 0x1000000]
    received, _ = dumped(packets(events, checksums=True), 1 << 20)
    assert [len(event) for event in received] == [len(event) for event in events]
    assert received == events


def test_a_wrong_checksum_ends_the_dump_after_the_events_before_it() -> None:
    data = packets([bytes(40), b"a" * 40], checksums=True)
    received, message = dumped(data[:-1] + b"!" + packets([bytes(40)], checksums=True), 1 << 20)
    assert received == [bytes(40)]
    assert "checksum is wrong" in message


def test_an_error_packet_ends_the_dump_too() -> None:
    error = b"\xff" + (1236).to_bytes(2, "little") + b"#HY000Could not find first log file name"
    for content, expected in ((error, "Could not find first log"), (b"\xfe\0\0\0\0", "ended the binlog dump")):
        data = packets([bytes(40)], checksums=False) + len(content).to_bytes(3, "little") + b"\3" + content
        received, message = dumped(data, 1 << 20)
        assert received == [bytes(40)]
        assert expected in message


def test_a_silent_server_is_away_after_the_read_timeout() -> None:
    """Also when the native code reads all packets, and the client library reads none."""
    here, there = socket.socketpair()
    connection = pymysql.Connection(defer_connect=True, read_timeout=1)
    with here, there, here.makefile("rb") as stream:
        patched = cast("Any", connection)
        patched._sock, patched._rfile, patched._next_seq_id = here, stream, 1
        there.sendall(packets([bytes(40), bytes(50)], checksums=True))
        server = cast("Any", Sent())
        events = dump(server, connection, SourcePosition("", "", 0), Replica(1, 1.0), "there")
        received: list[bytes] = []
        with pytest.raises(Unavailable, match="timed out"):
            received.extend(chain.from_iterable(events))
    assert [len(event) for event in received if event[4] != DESCRIBES] == [40, 50]
