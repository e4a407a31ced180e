"""Turns what the lake's clients raise (pyarrow, boto3, SQLAlchemy, pyiceberg) into this project's errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)
from pyiceberg.exceptions import (
    CommitFailedException,
    CommitStateUnknownException,
    NoSuchTableError,
    ServerError,
    ServiceUnavailableError,
    ValidationException,
)
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from datafingerprint.adapters import postgres
from datafingerprint.errors import ConfigError, ConflictError, DataFingerprintError, LakeError, Unavailable

WRONG_KEYS = "check [s3] access_key and secret_key, and what they may do with the bucket"
NO_BUCKET = "create it, or set [s3] bucket"
CHECK_CATALOG = "check [lake] catalog"

# What the store says, in the spelling of S3 itself (boto3) and of the AWS SDK for C++ (pyarrow).
_NO_BUCKET = re.compile(r"NoSuchBucket|NO_SUCH_BUCKET")
_REFUSED = re.compile(
    r"AccessDenied|ACCESS_DENIED|SignatureDoesNotMatch|SIGNATURE_DOES_NOT_MATCH|InvalidAccessKeyId"
    r"|INVALID_ACCESS_KEY_ID|InvalidToken|INVALID_TOKEN|ExpiredToken|EXPIRED_TOKEN|UNRECOGNIZED_CLIENT"
    r"|AllAccessDisabled|AccountProblem|\(403\)|NotImplemented|NOT_IMPLEMENTED|HTTP status 501|\(501\)"
)
_UNTRUSTED = re.compile(r"certificate verify failed|SSL validation failed|curlCode: 60\b")
_AWAY = re.compile(
    r"NETWORK_CONNECTION|curlCode|SLOW_DOWN|SlowDown|SERVICE_UNAVAILABLE|ServiceUnavailable|INTERNAL_FAILURE"
    r"|InternalError|THROTTLING|Throttling|REQUEST_TIMEOUT|RequestTimeout|OperationAborted|HTTP status (5\d\d|429)"
    r"|HTTP response code:? (5\d\d|429)|\((5\d\d|429)\)|[Tt]imed? ?out"
)
# SQLite reports these as operational errors too, but no waiting mends them.
_CATALOG_REFUSED = re.compile(r"unable to open database file|readonly database|not a database|malformed")


@contextmanager
def translated(what: str, *, where: str) -> Iterator[None]:
    """Lets only this project's errors out.

    Args:
        what: What was tried, for the message, such as `commit to ootp.games`.
        where: The bucket with its endpoint.

    Raises:
        ConflictError: another writer was first.
        Unavailable: the store or the catalog is away, or the outcome is unknown.
        LakeError: the store or the catalog refuses, or something that must be there is gone.
        ConfigError: there are no keys to sign with.
    """
    try:
        yield
    except DataFingerprintError:
        raise
    except (
        OSError,
        ClientError,
        BotoCoreError,
        SQLAlchemyError,
        CommitFailedException,
        CommitStateUnknownException,
        ValidationException,
        NoSuchTableError,
        ServerError,
        ServiceUnavailableError,
    ) as error:
        raise translate(error, what, where) from error


def translate(error: Exception, what: str, where: str) -> DataFingerprintError:
    """Which of our errors one of the clients' is."""
    if isinstance(error, CommitFailedException | ValidationException):
        return ConflictError(f"{what}: another writer was first ({said(error)})", where=where)
    if isinstance(error, CommitStateUnknownException | ServerError | ServiceUnavailableError):
        return Unavailable(f"{what}: the catalog is away ({said(error)})", where=where)
    if isinstance(error, SQLAlchemyError):
        return _catalog_error(error, what)
    if isinstance(error, NoSuchTableError):
        remedy = "somebody dropped or renamed it: put it back, or begin a new lake"
        return LakeError(f"{what}: the table is no longer in the catalog", where=where, remedy=remedy)
    return _store_error(error, what, where)


def _catalog_error(error: SQLAlchemyError, what: str) -> DataFingerprintError:
    """A lost reply is among these: the commit may have happened, so the caller reads the stamps anew."""
    original = error.orig if isinstance(error, DBAPIError) else None
    text = said(original or error)
    heals = postgres.may_heal(original) if original is not None else False
    if heals is False or (heals is None and _CATALOG_REFUSED.search(text)):
        return LakeError(f"{what}: the catalog refused ({text})", remedy=CHECK_CATALOG)
    return Unavailable(f"{what}: the catalog is away ({text})", remedy=CHECK_CATALOG)


def _store_error(error: Exception, what: str, where: str) -> DataFingerprintError:
    text = said(error)
    settings = _settings_error(error, text)
    if settings is not None:
        return ConfigError(f"{what}: {settings[0]}", where=where, remedy=settings[1])
    if _NO_BUCKET.search(text):
        return LakeError(f"{what}: the bucket does not exist", where=where, remedy=NO_BUCKET)
    if _REFUSED.search(text):
        return LakeError(f"{what}: the store refused ({text})", where=where, remedy=WRONG_KEYS)
    if isinstance(error, FileNotFoundError):
        remedy = "somebody removed it from the bucket: restore it, or begin a new lake"
        return LakeError(f"{what}: an object of the table is gone ({text})", where=where, remedy=remedy)
    if _AWAY.search(text) or not isinstance(error, ClientError | ParamValidationError | PermissionError):
        # What is not known by name is mostly the network; retrying says so in the log every time.
        return Unavailable(f"{what}: the store is away ({text})", where=where)
    return LakeError(f"{what}: the store refused ({text})", where=where, remedy="see the store's message")


def _settings_error(error: Exception, text: str) -> tuple[str, str] | None:
    """What is wrong with [s3], and what to do; None when it is something else."""
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return "there are no keys to sign with", WRONG_KEYS
    if _UNTRUSTED.search(text):
        return "the store's certificate is not accepted", "check [s3] ca_file, and the host in endpoint"
    return None


def said(error: BaseException) -> str:
    """An error's message in one line of bearable length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:297]}..."  # noqa: PLR2004 - a line and a half on a wide screen
