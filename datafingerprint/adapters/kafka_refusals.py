"""Why a broker turns a client away: the client only logs it, and goes on trying until its time is up."""

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


class Noticed(logging.Handler):
    """The last error that the client logged while it was connecting."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.error: Exception | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps the error that a line is about; a refusal is not forgotten for what follows from it."""
        given = record.args if isinstance(record.args, tuple) else ()
        for one in given:
            # That its time is up says nothing of why.
            if isinstance(one, KafkaError) and not isinstance(one, KafkaTimeoutError) and not self._is_refused:
                self.error = one

    @property
    def _is_refused(self) -> bool:
        return self.error is not None and refusal(self.error, "") is not None


@contextlib.contextmanager
def noticing() -> Iterator[Noticed]:
    """Listens to what the client logs."""
    noticed = Noticed()
    logger = logging.getLogger(_LOGGER)
    logger.addHandler(noticed)
    try:
        yield noticed
    finally:
        logger.removeHandler(noticed)


def refusal(error: Exception, where: str) -> ConfigError | None:
    """What a service is stopped with; None for what may heal."""
    certificate, encryption = _CERTIFICATE.search(str(error)), _ENCRYPTION.search(str(error))
    if certificate is not None:
        said = f"the broker's certificate is not accepted ({certificate[1]}) at {where}"
        return ConfigError(said, remedy="check [kafka] ca_file, and the hosts in bootstrap")
    if encryption is not None:
        said = f"the broker cannot be talked to over TLS ({encryption[1]}) at {where}"
        return ConfigError(said, remedy="check [kafka] security, cert_file, key_file")
    if isinstance(error, _REFUSALS):
        remedy = "check [kafka] user, password, sasl_mechanism, and the ACLs"
        return ConfigError(f"the broker refuses us ({said_by(error)}) at {where}", remedy=remedy)
    return None


def said_by(error: Exception) -> str:
    """An error in a few words; that of an administrator's request repeats all of it."""
    text = " ".join(str(error).split())
    name = type(error).__name__
    if not text or (isinstance(error, KafkaError) and len(text) > _LENGTH_MAX):
        return name
    return text[:_LENGTH_MAX] if text.startswith((name, "[")) else f"{name}: {text[:_LENGTH_MAX]}"
