"""Tables whose rows capture skips: the reason, and when each is retried."""

from __future__ import annotations

from dataclasses import dataclass

from datafingerprint.errors import DataFingerprintError

_REST_FACTOR = 10
"""A table rests this many times as long as its last snapshot took."""

_REASON_CHARACTERS_MAX = 500


@dataclass(slots=True)
class SetAside:
    """A table that is set aside.

    Attributes:
        reason: What is wrong and what helps, in one line.
        is_unsupported: Whether its definition is the reason. The table returns once its definition is supported.
            Otherwise its rows are the reason, and only a complete snapshot shows whether they still are.
        due_at: Unix time before which it is not read again.
        is_touched: Whether it has changed since. Only a change can remove the reason.
        is_retried: Whether it is read again now, or is about to be.
    """

    reason: str
    is_unsupported: bool
    due_at: float
    is_touched: bool
    is_retried: bool = False

    def is_due(self, now: float) -> bool:
        """Whether to read its rows again."""
        return not self.is_unsupported and not self.is_retried and self.is_touched and now >= self.due_at


def reason_of(error: DataFingerprintError) -> str:
    """An error as the reason of a verdict: what happened and what helps.

    The verdict names the table.
    """
    text = f"{error.what}: {error.remedy}" if error.remedy else error.what
    return text if len(text) <= _REASON_CHARACTERS_MAX else f"{text[: _REASON_CHARACTERS_MAX - 1]}…"


def rest_s(took_s: float, retry_s: float) -> float:
    """How long a table rests after a snapshot that took `took_s`, at least `retry_s`."""
    return max(retry_s, _REST_FACTOR * took_s)
