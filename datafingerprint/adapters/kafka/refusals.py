"""Finds the reason for a broker's refusal: the client only logs it, and retries."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator

from kafka.errors import (
    AuthorizationError,
    IllegalSaslStateError,
    KafkaError,
    KafkaTimeoutError,
    SaslAuthenticationFailedError,
    UnsupportedSaslMechanismError,
)

from datafingerprint.errors import ConfigError

_LOGGER = "kafka.net"
_REFUSALS = (AuthorizationError, IllegalSaslStateError, SaslAuthenticationFailedError, UnsupportedSaslMechanismError)
_ENCRYPTION = re.compile(r"\[SSL: (?!UNEXPECTED_EOF)(\w+)\]")
_CERTIFICATE = re.compile(r"certificate verify failed: (.*?)(?: \(_ssl|$)")
_LENGTH_MAX = 200


class ConnectionErrorCapture(logging.Handler):
    """Captures the last error that the client logs while it connects."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.error: Exception | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps the error of a log line. A refusal is kept over the errors that follow from it."""
        arguments = record.args if isinstance(record.args, tuple) else ()
        for argument in arguments:
            # A timeout does not say why.
            if not isinstance(argument, KafkaError) or isinstance(argument, KafkaTimeoutError):
                continue
            if not self._is_refused:
                self.error = argument

    @property
    def _is_refused(self) -> bool:
        return self.error is not None and refusal(self.error, "") is not None


@contextlib.contextmanager
def capturing_connection_errors() -> Iterator[ConnectionErrorCapture]:
    """Captures the connection errors that the client logs in the block."""
    capture = ConnectionErrorCapture()
    logger = logging.getLogger(_LOGGER)
    logger.addHandler(capture)
    try:
        yield capture
    finally:
        logger.removeHandler(capture)


def refusal(error: Exception, where: str) -> ConfigError | None:
    """The error that stops a service; None for an error that may pass."""
    certificate, encryption = _CERTIFICATE.search(str(error)), _ENCRYPTION.search(str(error))
    if certificate is not None:
        what = f"the broker's certificate is not accepted ({certificate[1]}) at {where}"
        return ConfigError(what, remedy="check [kafka] ca_file, and the hosts in bootstrap")
    if encryption is not None:
        what = f"the TLS connection to the broker fails ({encryption[1]}) at {where}"
        return ConfigError(what, remedy="check [kafka] security, cert_file, key_file")
    if isinstance(error, _REFUSALS):
        remedy = "check [kafka] user, password, sasl_mechanism, and the ACLs"
        return ConfigError(f"the broker refuses us ({said_by(error)}) at {where}", remedy=remedy)
    return None


def said_by(error: Exception) -> str:
    """An error in a few words. A long message, which repeats an admin request, is dropped."""
    text = " ".join(str(error).split())
    name = type(error).__name__
    if not text or (isinstance(error, KafkaError) and len(text) > _LENGTH_MAX):
        return name
    return text[:_LENGTH_MAX] if text.startswith((name, "[")) else f"{name}: {text[:_LENGTH_MAX]}"
