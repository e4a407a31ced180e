"""Logs one line for each request.

The level is debug, as the dashboard asks every second. Server errors are warnings.
"""

from __future__ import annotations

import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SERVER_ERROR = 500


class RequestLog:
    """ASGI middleware around all routes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Writes the line when the answer was sent, or could not be sent."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        status = SERVER_ERROR

        async def send_and_note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note_status)
        finally:
            log: structlog.stdlib.BoundLogger = structlog.get_logger(service="api")
            write = log.warning if status >= SERVER_ERROR else log.debug
            took_ms = round(1000 * (time.perf_counter() - start), 1)
            write("answered", method=scope["method"], path=scope["path"], status=status, took_ms=took_ms)
