"""Sends requests to the REST service, for commands that show its answers."""

from __future__ import annotations

import http.client
import json
import selectors
import time
from collections.abc import Callable
from typing import Any, Protocol, cast

from datafingerprint.config import Api
from datafingerprint.errors import Unavailable

CONNECT_S = 10.0
"""Timeout of an attempt to connect."""

PATIENCE_S = 60.0
"""Timeout of an answer. It is long, because a busy service is not away."""

PROGRESS_S = 3.0
"""Seconds between two messages about the wait."""


class HasFileno(Protocol):
    """A connection that a selector can wait for."""

    def fileno(self) -> int:
        """The file descriptor."""


def _headers(api: Api) -> dict[str, str]:
    token = api.token.get_secret_value()
    return {"Authorization": f"Bearer {token}"} if token else {}


def get(
    api: Api,
    path: str,
    *,
    patience_s: float = PATIENCE_S,
    progress_s: float = PROGRESS_S,
    waiting: Callable[[float], None] = lambda _: None,
) -> dict[str, Any]:
    """The answer to a GET.

    Args:
        api: The address of the service.
        path: The path and query of the request.
        patience_s: Timeout of the answer, in seconds.
        progress_s: Seconds between two calls of `waiting`.
        waiting: Called with the seconds waited so far.

    Raises:
        Unavailable: the service is away, too slow, or answers with an error.
    """
    where = f"http://{api.host}:{api.port}{path}"
    connection = http.client.HTTPConnection(api.host, api.port, timeout=CONNECT_S)
    try:
        connection.connect()
        connection.request("GET", path, headers=_headers(api))
        connection.sock.settimeout(patience_s)
        if not _has_answered(connection.sock, patience_s, progress_s, waiting):
            raise _timeout_error(where, patience_s)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, TimeoutError) and connection.sock is not None:
            raise _timeout_error(where, patience_s) from None
        raise Unavailable(
            "the REST service is away", where=where, remedy=f"start it, or check [api] ({error})"
        ) from None
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise Unavailable(f"the REST service answers {response.status}", where=where, remedy=body.decode()[:200])
    return cast("dict[str, Any]", json.loads(body))


def _has_answered(socket: HasFileno, patience_s: float, progress_s: float, waiting: Callable[[float], None]) -> bool:
    """Waits for the start of an answer; False if none arrives in time."""
    started_at = time.monotonic()
    with selectors.DefaultSelector() as selector:
        selector.register(socket, selectors.EVENT_READ)
        remaining_s = patience_s
        while not selector.select(min(progress_s, remaining_s)):
            waited_s = time.monotonic() - started_at
            remaining_s = patience_s - waited_s
            if remaining_s <= 0:
                return False
            waiting(waited_s)
    return True


def _timeout_error(where: str, patience_s: float) -> Unavailable:
    return Unavailable(
        f"the REST service is running, but has not answered within {patience_s:g} s",
        where=where,
        remedy="try again when the machine is less busy, or read the service's log",
    )
