"""Tokens of the REST service: pure rules on roles, expiry and the comparison of secrets.

A secret is 256 random bits. One plain SHA-256 of it is stored: nothing can be guessed that a slow hash would protect.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

SECRET_BYTES = 32
PREFIX = "dfp_"
"""Begins every secret, so that scanners of repositories can find one."""

NAME_CHARACTERS_MAX = 100


class Role(StrEnum):
    """What the holder of a token may do."""

    VIEWER = "viewer"
    OPERATOR = "operator"


class TokenState(StrEnum):
    """Whether a token is accepted."""

    VALID = "valid"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is stored. All times are Unix times in seconds.

    Attributes:
        name: Whose it is. At most one valid token has the name.
        role: What its holder may do.
        digest: SHA-256 of the secret, in hex.
        created_at: When it was created.
        expires_at: From when on it is refused. None: never.
        revoked_at: When it was revoked. None while it is not.
    """

    name: str
    role: Role
    digest: str
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None

    def state(self, now: float) -> TokenState:
        """Whether the token is accepted at a time."""
        if self.revoked_at is not None:
            return TokenState.REVOKED
        is_expired = self.expires_at is not None and now >= self.expires_at
        return TokenState.EXPIRED if is_expired else TokenState.VALID


def digest(secret: str) -> str:
    """The stored form of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def new_token(name: str, role: Role, now: float, lifetime_s: float | None) -> tuple[str, Token]:
    """Draws a secret.

    Args:
        name: Whose it is.
        role: What its holder may do.
        now: Unix time in seconds.
        lifetime_s: Seconds until it expires. None: never.

    Returns:
        The secret, which is not stored anywhere, and the token.
    """
    secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    expires_at = None if lifetime_s is None else now + lifetime_s
    return secret, Token(name, role, digest(secret), now, expires_at)


def holder(secret_digest: str, tokens: Iterable[Token]) -> Token | None:
    """The token of a secret. The time that it takes does not depend on the secret."""
    owner = None
    for token in tokens:
        if hmac.compare_digest(token.digest, secret_digest):
            owner = token
    return owner


def is_name(text: str) -> bool:
    """Whether a text can name a token: printable, without spaces around, and not too long."""
    return text.isprintable() and text == text.strip() and 0 < len(text) <= NAME_CHARACTERS_MAX
