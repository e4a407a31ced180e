"""Tokens, and the record of what their holders did.

Every method may raise `Unavailable` (the caller retries) and `StateError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from datafingerprint.tokens import Token


@dataclass(frozen=True, slots=True)
class Action:
    """A change that somebody requested.

    Attributes:
        at: Unix time in seconds.
        who: Name of the token, `api.token` for that of the settings, `anonymous` where none is needed.
        role: The role of the token.
        address: Where the request came from. Empty for a command on a machine with the settings.
        method: The request's method, or `COMMAND`.
        path: The request's path, or the command.
        detail: The begin of the request's body.
        status: The HTTP status of the answer. None if it was not answered.
        number: Its id. 0 before it is stored.
    """

    at: float
    who: str
    role: str
    address: str
    method: str
    path: str
    detail: str
    status: int | None = None
    number: int = 0


class TokenReader(Protocol):
    """Reads tokens."""

    def tokens(self) -> Sequence[Token]:
        """All tokens, those that expired or were revoked too, in the order of their creation."""


class TokenStore(TokenReader, Protocol):
    """Creates and revokes tokens."""

    def create(self, token: Token, action: Action) -> bool:
        """Stores a token and the action.

        Returns:
            False when a valid token has the name.
        """

    def revoke(self, name: str, action: Action) -> bool:
        """Revokes the token with a name that is not revoked yet, and stores the action.

        Returns:
            False when there is no such token.
        """


class ActionLog(Protocol):
    """The record of what was done."""

    def begin(self, action: Action) -> int:
        """Stores an action before it is done. Returns: its id."""

    def end(self, number: int, status: int) -> None:
        """Stores how it was answered."""

    def actions(self, *, limit: int, before: int | None = None) -> Sequence[Action]:
        """The last actions, newest first."""
