from __future__ import annotations

import io
import socket
import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafingerprint.adapters.binlog_dump import _Patient


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
