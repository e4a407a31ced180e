"""Errors of the provider.

AirflowException
├── DataFingerprintUnavailable    no answer, or the service cannot answer now; Airflow retries
├── DataFingerprintRefused        the service refuses the request now; Airflow retries
├── JobFailedError                an audit, scan or resync failed or was cancelled; Airflow retries
├── InconclusiveError             it cannot be decided whether both sides are equal; Airflow retries
├── UnknownAnswerError            the service answers with a word that this provider does not know; Airflow retries
└── AirflowFailException
    ├── DataFingerprintMisused    wrong token, unknown table: a retry gives the same; Airflow does not retry
    └── MismatchError             the sides differ; Airflow does not retry
"""

from __future__ import annotations

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException


class DataFingerprintUnavailable(AirflowException):
    """The service gives no answer, or cannot answer now."""


class DataFingerprintRefused(AirflowException):
    """The service refuses the request now."""


class DataFingerprintMisused(AirflowFailException):
    """The request cannot succeed: wrong token, unknown table or partition."""


class JobFailedError(AirflowException):
    """An audit, scan or resync failed or was cancelled."""


class InconclusiveError(AirflowException):
    """It cannot be decided whether both sides are equal."""


class UnknownAnswerError(AirflowException):
    """The service answers with a word that this provider does not know. Unknown is not equal."""


class MismatchError(AirflowFailException):
    """The sides differ."""
