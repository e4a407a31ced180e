"""A slow REST service is awaited and called slow. Only one that cannot be reached is away."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from datafingerprint.adapters.runtime import rest
from datafingerprint.config import Api
from datafingerprint.errors import Unavailable

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"slow": 1}\n'


@contextmanager
def served(after: threading.Event) -> Iterator[Api]:
    """A server that accepts a connection at once, and answers after an event."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                after.wait(30)
                connection.sendall(ANSWER)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield Api.model_validate({"port": listening.getsockname()[1]})
        finally:
            after.set()
            thread.join()


def test_a_slow_answer_is_awaited_with_messages_about_the_wait() -> None:
    go_on = threading.Event()
    waited: list[float] = []

    def note(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) > 2:
            go_on.set()

    with served(go_on) as api:
        assert rest.get(api, "/v1/status", progress_s=0.05, waiting=note) == {"slow": 1}
    assert waited == sorted(waited)


def test_a_service_that_never_answers_is_not_called_away() -> None:
    with served(threading.Event()) as api, pytest.raises(Unavailable) as caught:
        rest.get(api, "/v1/status", patience_s=0.2)
    assert "is running, but has not answered within 0.2 s" in str(caught.value)
    assert "away" not in str(caught.value)


def test_a_service_that_cannot_be_reached_is_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(Unavailable) as caught:
        rest.get(Api.model_validate({"port": port}), "/v1/status")
    assert "the REST service is away" in str(caught.value)
