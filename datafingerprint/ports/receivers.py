"""A receiver of alerts, as the notifier uses it."""

from __future__ import annotations

from typing import Protocol

from datafingerprint.alerts import Content
from datafingerprint.errors import DataFingerprintError


class DeliveryError(DataFingerprintError):
    """A receiver did not take a message. The text holds no secret."""


class Receiver(Protocol):
    """Somebody who takes messages. Used by one thread at a time."""

    @property
    def key(self) -> str:
        """Its name, the same in every process with these settings, without secrets."""

    @property
    def address(self) -> str:
        """Its URL, without secrets."""

    def send(self, content: Content) -> None:
        """Sends a message. Returns when the receiver has taken it.

        Raises:
            DeliveryError: It was not taken, or that is not known.
        """
