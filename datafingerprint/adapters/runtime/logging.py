"""Logging of every service: structured lines on standard error, as text or JSON."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable

import structlog

from datafingerprint.config import Log

_FIRST = ("timestamp", "level", "service", "event")

_PLAIN = re.compile(r'[^\s"=\\]+')
"""Text that needs no quotation marks. An empty value needs them."""


def render_text(_logger: structlog.typing.WrappedLogger, _method: str, fields: structlog.typing.EventDict) -> str:
    """One line of `key=value`. A value with spaces or quotes is quoted as in JSON (logfmt)."""
    first = {key: fields[key] for key in _FIRST if key in fields}
    return " ".join(f"{key}={_quoted(str(value))}" for key, value in (first | dict(fields)).items())


def _quoted(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.isprintable():
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())


def configure_logging(
    log: Log, service: str, on_line: Callable[[str], None] | None = None
) -> structlog.stdlib.BoundLogger:
    """Set up logging of this process, once, and return a logger that names the service.

    Args:
        log: Format and lowest level.
        service: The name in every line of the logger.
        on_line: Called with the text of every line of level info and above.
    """
    level = logging.getLevelNamesMapping()[log.level.upper()]
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer() if log.format == "json" else render_text
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            *([] if on_line is None else [_forwarder(on_line)]),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(service=service)
    return logger


def _forwarder(on_line: Callable[[str], None]) -> structlog.typing.Processor:
    """A processor that passes every line on, and calls `on_line` with its text."""

    def forward(
        _logger: structlog.typing.WrappedLogger, _method: str, line: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        if line["level"] != "debug":
            fields = " ".join(f"{name}={value}" for name, value in line.items() if name not in _OMITTED_FIELDS)
            on_line(f"{line['event']} {fields}".strip())
        return line

    return forward


_OMITTED_FIELDS = ("event", "level", "service", "stream_id")
