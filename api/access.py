"""Who sends a request: compares its token with the known ones."""

from __future__ import annotations

import hmac
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

import structlog

from api.failures import FailureLimit
from datafingerprint.errors import DataFingerprintError, Unavailable
from datafingerprint.ports.tokens import TokenReader
from datafingerprint.tokens import Role, Token, TokenState, digest, holder

REFRESH_S = 2.0
"""Seconds after which stored tokens are read again: a revoked one is refused as soon."""

SETTING = "api.token"
"""The name of the token of the settings."""

_WRONG = "the token is missing or wrong: send it as bearer"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request.

    Attributes:
        name: The name of the token.
        role: What the caller may do.
        expires_at: Unix time in seconds from when on the token is refused. None: never.
    """

    name: str
    role: Role
    expires_at: float | None = None


ANONYMOUS = Caller("anonymous", Role.OPERATOR)
"""The caller where no token is needed: only this machine can send requests."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a request's token is worth.

    Attributes:
        caller: Who sends it. None when the token is not accepted, or missing where one is needed.
        has_token: Whether a token was accepted.
        code: The status of a refusal.
        problem: Why it is refused.
        retry_after_s: Seconds until another attempt is compared. 0 where that does not matter.
    """

    caller: Caller | None
    has_token: bool = False
    code: int = HTTPStatus.UNAUTHORIZED
    problem: str = _WRONG
    retry_after_s: int = 0


class Access:
    """Checks tokens.

    Args:
        setting: The token of the settings, which has the role of an operator. Empty: none.
        reader: Stored tokens. None: there are none.
        clock: Unix time in seconds.
        is_reachable: Whether other machines can reach the service. Then callers need a token, even if none is left.
    """

    def __init__(
        self,
        setting: str,
        reader: TokenReader | None,
        clock: Callable[[], float],
        *,
        is_reachable: bool = False,
    ) -> None:
        self._setting = digest(setting) if setting else ""
        self._reader = reader
        self._clock = clock
        self._tokens: Sequence[Token] | None = None if reader else ()
        self._reading = threading.Lock()
        self._read_at = -math.inf
        self._trouble: DataFingerprintError | None = None
        self._limit = FailureLimit()
        self._is_setting_proven = False
        self._is_closed = is_reachable

    @property
    def is_stale(self) -> bool:
        """Whether the stored tokens must be read again before one is compared."""
        # A clock that was set back makes no token live longer.
        return self._reader is not None and not 0 <= self._clock() - self._read_at < REFRESH_S

    @property
    def is_needed(self) -> bool:
        """Whether callers must send a token.

        It stays so after the last one expired, was revoked, or was lost with the state store.
        """
        return self._is_closed or bool(self._setting) or self._tokens is None

    def refresh(self) -> None:
        """Reads the stored tokens if they are stale.

        While the store is away, those that were read last are used.
        """
        if self._reader is None or not self._reading.acquire(blocking=self._tokens is None):
            return
        try:
            if self.is_stale:
                self._read_at = self._clock()
                self._tokens, self._trouble = self._reader.tokens(), None
                self._is_closed |= bool(self._tokens)
        except DataFingerprintError as error:
            # From its end: a caller that waited for a slow attempt must not begin the next.
            self._trouble, self._read_at = error, self._clock()
        finally:
            self._reading.release()

    def check(self, authorization: str, address: str) -> Checked:
        """Decides about one request.

        Args:
            authorization: The header. Empty where there is none.
            address: Where the request comes from.
        """
        if self._tokens is None and not self._setting:
            return self._unreadable()
        if not self.is_needed:
            return Checked(ANONYMOUS)
        if not authorization:
            return Checked(None)
        return self._compare(authorization, address, self._clock())

    def still_accepts(self, authorization: str) -> bool:
        """Whether a request that was accepted would be so now.

        For answers without an end. It may read the store.
        """
        if self.is_stale:
            self.refresh()
        if not self.is_needed:
            return True
        given = digest(authorization.partition(" ")[2].strip())
        token = holder(given, self._tokens or ())
        if token is not None:
            return token.state(self._clock()) is TokenState.VALID
        return bool(self._setting) and hmac.compare_digest(given, self._setting)

    def _compare(self, authorization: str, address: str, now: float) -> Checked:
        scheme, _, secret = authorization.partition(" ")
        given = digest(secret.strip())
        is_bearer = scheme.lower() == "bearer"
        # No caller can guess 256 random bits. So others behind one proxy cannot lock out the holder of a stored token.
        # It comes first, also so that a viewer's secret in the settings makes no operator.
        token = holder(given, self._tokens or ()) if is_bearer else None
        if token is not None:
            return self._known(token, address, now)
        is_setting = is_bearer and bool(self._setting) and hmac.compare_digest(given, self._setting)
        # The setting may be a short word. Once it was sent, its holder is not locked out either.
        wait_s = 0.0 if is_setting and self._is_setting_proven else self._limit.wait_s(address, now)
        if wait_s:
            text = "too many wrong tokens came from this address: try again later"
            return Checked(None, code=HTTPStatus.TOO_MANY_REQUESTS, problem=text, retry_after_s=math.ceil(wait_s))
        if is_setting:
            self._is_setting_proven = True
            return Checked(Caller(SETTING, Role.OPERATOR), has_token=True)
        self._limit.note(address, now)
        if self._tokens is None:  # it may be right: a holder who hears 401 throws it away
            return self._unreadable()
        _log("a wrong token was refused", address)
        return Checked(None)

    def _unreadable(self) -> Checked:
        return Checked(None, code=code_of(self._trouble), problem=f"no token can be read: {self._trouble}")

    def _known(self, token: Token, address: str, now: float) -> Checked:
        state = token.state(now)
        if state is TokenState.VALID:
            return Checked(Caller(token.name, token.role, token.expires_at), has_token=True)
        _log(f"a token that is {state.value} was refused", address, token=token.name)
        what = "has expired" if state is TokenState.EXPIRED else "was revoked"
        return Checked(None, problem=f"the token {what}: use another one (datafingerprint tokens create)")


def code_of(error: DataFingerprintError | None) -> int:
    """The status of an answer that the state store prevents."""
    if error is None or isinstance(error, Unavailable):
        return HTTPStatus.SERVICE_UNAVAILABLE
    return HTTPStatus.INTERNAL_SERVER_ERROR


def _log(what: str, address: str, **fields: str) -> None:
    log: structlog.stdlib.BoundLogger = structlog.get_logger(service="api")
    log.warning(what, address=address, **fields)
