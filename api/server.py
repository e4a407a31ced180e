"""Runs the application in uvicorn; beyond this machine only with a token."""

from __future__ import annotations

import ipaddress
import logging

import structlog
import uvicorn
from fastapi import FastAPI

from datafingerprint.config import Api
from datafingerprint.errors import ConfigError

TOKEN_LENGTH_MIN = 16

_SHUTDOWN_S = 5


def require_token(settings: Api) -> None:
    """Demands a token, or an address that other machines cannot reach: without one, whoever reaches it reads it.

    Raises:
        ConfigError: there is none, or a short one, on another address.
    """
    if not _is_loopback(settings.host) and len(settings.token.get_secret_value()) < TOKEN_LENGTH_MIN:
        raise ConfigError(
            f"setting api.host is {settings.host}, which other machines can reach, and api.token is not long enough",
            remedy=f"set api.token to at least {TOKEN_LENGTH_MIN} random characters, or use 127.0.0.1 as api.host",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def serve(app: FastAPI, settings: Api, log: structlog.stdlib.BoundLogger) -> None:
    """Serves until SIGTERM or SIGINT.

    Raises:
        ConfigError: the address can be reached by other machines, and there is no token.
    """
    require_token(settings)
    _send_to(log)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=_SHUTDOWN_S,
    )
    log.info("serving", host=settings.host, port=settings.port)
    uvicorn.Server(config).run()


def _send_to(log: structlog.stdlib.BoundLogger) -> None:
    """Lets uvicorn speak through our log, from warnings on."""
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
        say = self._log.error if record.levelno >= logging.ERROR else self._log.warning
        say("server", what=record.getMessage(), **fields)
