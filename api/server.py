"""Runs the application in uvicorn. An address other than loopback requires a token."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable

import structlog
import uvicorn
from fastapi import FastAPI

from datafingerprint.config import Api
from datafingerprint.errors import ConfigError

TOKEN_LENGTH_MIN = 16

_SHUTDOWN_S = 5


def require_token(settings: Api, *, has_tokens: bool = False) -> None:
    """Requires a token on every address that other machines can reach.

    Args:
        settings: The address and the token of the settings.
        has_tokens: Whether a token was created.

    Raises:
        ConfigError: The token is missing or short on such an address.
    """
    length = len(settings.token.get_secret_value())
    is_safe = length >= TOKEN_LENGTH_MIN or (has_tokens and not length)
    if not is_loopback(settings.host) and not is_safe:
        raise ConfigError(
            f"setting api.host is {settings.host}, which other machines can reach, and api.token is not long enough",
            remedy=f"set api.token to at least {TOKEN_LENGTH_MIN} random characters, or use 127.0.0.1 as api.host, "
            "or remove api.token and run datafingerprint tokens create",
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def serve(
    app: FastAPI,
    settings: Api,
    log: structlog.stdlib.BoundLogger,
    heartbeat: Callable[[], object] = lambda: None,
) -> None:
    """Serves until SIGTERM or SIGINT. Calls `heartbeat` ten times a second."""
    _log_to(log)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=_SHUTDOWN_S,
    )
    log.info("serving", host=settings.host, port=settings.port)
    server = _Server(config, heartbeat)
    app.state.is_ending = lambda: server.should_exit  # streams have no other end
    server.run()


class _Server(uvicorn.Server):
    """A server whose loop calls a heartbeat."""

    def __init__(self, config: uvicorn.Config, heartbeat: Callable[[], object]) -> None:
        super().__init__(config)
        self._heartbeat = heartbeat

    async def on_tick(self, counter: int) -> bool:
        """Runs ten times a second.

        Returns:
            Whether to end.
        """
        self._heartbeat()
        return await super().on_tick(counter)


def _log_to(log: structlog.stdlib.BoundLogger) -> None:
    """Sends uvicorn's warnings and errors to our log."""
    logger = logging.getLogger("uvicorn")
    logger.handlers = [_Forward(log)]
    logger.propagate = False
    logger.setLevel(logging.WARNING)


class _Forward(logging.Handler):
    """Turns a record of the standard library into a structured line."""

    def __init__(self, log: structlog.stdlib.BoundLogger) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Writes the record."""
        traceback = logging.Formatter().formatException(record.exc_info) if record.exc_info else None
        fields = {"traceback": traceback} if traceback else {}
        write = self._log.error if record.levelno >= logging.ERROR else self._log.warning
        write("server", what=record.getMessage(), **fields)
