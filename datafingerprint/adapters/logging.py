"""How every service logs: structured lines on standard error, for people or for machines."""

from __future__ import annotations

import logging
import sys

import structlog

from datafingerprint.config import Log


def configure_logging(log: Log, service: str) -> structlog.stdlib.BoundLogger:
    """Sets up logging of this process, once, and answers a logger that names the service.

    Args:
        log: Format and least level.
        service: The name that every line of the logger bears.
    """
    level = logging.getLevelNamesMapping()[log.level.upper()]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if log.format == "json"
        else structlog.processors.KeyValueRenderer(
            key_order=["timestamp", "level", "service", "event"], drop_missing=True, repr_native_str=False
        )
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(service=service)
    return logger
