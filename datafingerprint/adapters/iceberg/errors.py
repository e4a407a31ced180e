"""Translates errors of the lake's clients: pyarrow, boto3, SQLAlchemy and pyiceberg."""

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
    NoSuchNamespaceError,
    NoSuchTableError,
    RESTError,
    ServerError,
    ServiceUnavailableError,
    TooManyRequestsError,
    ValidationException,
)
from requests import RequestException
from requests.exceptions import SSLError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from datafingerprint.adapters.runtime import postgres
from datafingerprint.errors import (
    ConfigError,
    ConflictError,
    DataFingerprintError,
    LakeError,
    LakeTableError,
    Unavailable,
)

WRONG_KEYS = "check [s3] access_key and secret_key, and their permissions for the bucket"
NO_BUCKET = "create it, or set [s3] bucket"
CHECK_CATALOG = "check [lake] catalog"
CATALOG_FORMS = (
    "write [lake] catalog as sqlite:////path/of/catalog.db or postgresql://host/database, https://host/path (REST) or "
    "glue://"
)
CATALOG_LOGIN = "check [lake] catalog_user, catalog_password and catalog_warehouse, and what they may do in the catalog"
CATALOG_TLS = "check [lake] catalog_ca_file, and the host in catalog"
GLUE_RIGHTS = "check [s3] access_key and secret_key, and their permissions in Glue (deploy/aws.md)"

# Error names of the store, as S3 (boto3) and the AWS SDK for C++ (pyarrow) spell them.
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
_OTHER_REGION = re.compile(
    r"PermanentRedirect|PERMANENT_REDIRECT|AuthorizationHeaderMalformed|IllegalLocationConstraint"
    r"|HTTP status 301|HTTP response code:? 301|\(301\)"
)
_EXPECTED_REGION = re.compile(r"expecting '([a-z0-9-]+)'")
# SQLite reports these as operational errors too, but they do not pass by themselves.
_CATALOG_REFUSED = re.compile(r"unable to open database file|readonly database|not a database|malformed")


@contextmanager
def translated(what: str, *, where: str) -> Iterator[None]:
    """Translate client errors in the block into this project's errors.

    Args:
        what: The attempted action, for the message, such as `commit to ootp.games`.
        where: The bucket with its endpoint.

    Raises:
        ConflictError: another writer was first.
        Unavailable: the store or the catalog is away, or the outcome is unknown.
        LakeError: the store or the catalog refuses, or a required object is gone.
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
        NoSuchNamespaceError,
        NoSuchTableError,
        RESTError,
        NotImplementedError,
    ) as error:
        raise translate(error, what, where) from error


def translate(error: Exception, what: str, where: str) -> DataFingerprintError:
    """The translation of a client error."""
    if isinstance(error, CommitFailedException | ValidationException):
        return ConflictError(f"{what}: another writer was first ({short_message(error)})", where=where)
    if isinstance(error, RESTError | RequestException | NotImplementedError):
        return _rest_error(error, what)
    if isinstance(error, SQLAlchemyError):
        return _catalog_error(error, what)
    if isinstance(error, ClientError) and error.operation_name in _GLUE:
        return _glue_error(error, what)
    if isinstance(error, NoSuchTableError | NoSuchNamespaceError):
        remedy = "it was dropped or renamed: restore it, or re-snapshot the table (datafingerprint resync)"
        return LakeTableError(f"{what}: the table is no longer in the catalog", where=where, remedy=remedy)
    return _store_error(error, what, where)


def _catalog_error(error: SQLAlchemyError, what: str) -> DataFingerprintError:
    """The translation of a catalog error.

    The error may be a lost reply to a commit that happened, so the caller reads the stamps again.
    """
    original = error.orig if isinstance(error, DBAPIError) else None
    text = short_message(original or error)
    is_transient = postgres.is_transient(original) if original is not None else False
    if is_transient is False or (is_transient is None and _CATALOG_REFUSED.search(text)):
        return LakeError(f"{what}: the catalog refused ({text})", where="[lake] catalog", remedy=CHECK_CATALOG)
    return Unavailable(f"{what}: the catalog is away ({text})", remedy=CHECK_CATALOG)


_GLUE = ("GetTable", "GetTables", "UpdateTable", "CreateTable", "DeleteTable", "GetDatabase", "GetDatabases",
         "CreateDatabase")  # fmt: skip
_GLUE_AWAY = ("ThrottlingException", "InternalServiceException", "OperationTimeoutException",
              "ResourceNotReadyException")  # fmt: skip
_GLUE_OVERTAKEN = "ConcurrentModificationException"


def _rest_error(error: Exception, what: str) -> DataFingerprintError:
    """The translation of an error of a REST catalog, whose reply to a commit may also be lost."""
    text = short_message(error)
    if isinstance(error, SSLError):
        return ConfigError(f"{what}: the catalog's certificate is not accepted ({text})", remedy=CATALOG_TLS)
    away = CommitStateUnknownException | ServerError | ServiceUnavailableError | TooManyRequestsError
    if isinstance(error, away | RequestException):
        return Unavailable(f"{what}: the catalog is away ({text})", remedy=CHECK_CATALOG)
    return LakeError(f"{what}: the catalog refused ({text})", where="[lake] catalog", remedy=CATALOG_LOGIN)


def _glue_error(error: ClientError, what: str) -> DataFingerprintError:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    text = short_message(error)
    code = error.response.get("Error", {}).get("Code")
    if code == _GLUE_OVERTAKEN:
        return ConflictError(f"{what}: another writer was first ({text})", where="[lake] catalog")
    if code in _GLUE_AWAY or status >= _SERVER_ERROR:
        return Unavailable(f"{what}: Glue is away ({text})", remedy=CHECK_CATALOG)
    return LakeError(f"{what}: Glue refused ({text})", where="[lake] catalog", remedy=GLUE_RIGHTS)


_SERVER_ERROR = 500


def _store_error(error: Exception, what: str, where: str) -> DataFingerprintError:
    text = short_message(error)
    settings = _settings_error(error, text)
    if settings is not None:
        return ConfigError(f"{what}: {settings[0]}", where=where, remedy=settings[1])
    if _NO_BUCKET.search(text):
        return LakeError(f"{what}: the bucket does not exist", where=where, remedy=NO_BUCKET)
    if _REFUSED.search(text):
        return LakeError(f"{what}: the store refused ({text})", where=where, remedy=WRONG_KEYS)
    if isinstance(error, FileNotFoundError):
        remedy = "it was removed from the bucket: restore it, or re-snapshot the table (datafingerprint resync)"
        return LakeTableError(f"{what}: an object of the table is gone ({text})", where=where, remedy=remedy)
    if _AWAY.search(text) or not isinstance(error, ClientError | ParamValidationError | PermissionError):
        # Unknown errors are mostly network errors. Each retry logs the error.
        return Unavailable(f"{what}: the store is away ({text})", where=where)
    return LakeError(
        f"{what}: the store refused ({text})", where=where, remedy="do what the store's message says, then check [s3]"
    )


def _settings_error(error: Exception, text: str) -> tuple[str, str] | None:
    """Error and remedy for a wrong setting in [s3]; None for another error."""
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return "there are no keys to sign with", WRONG_KEYS
    if _UNTRUSTED.search(text):
        return "the store's certificate is not accepted", "check [s3] ca_file, and the host in endpoint"
    if _OTHER_REGION.search(text):
        expected = _EXPECTED_REGION.search(text)
        return other_region(expected[1] if expected else "")
    return None


def other_region(region: str) -> tuple[str, str]:
    """Error and remedy for a bucket in another region, which may be unknown (empty)."""
    if region:
        return f"the bucket is in region {region}", f'set [s3] region = "{region}"'
    return "the bucket is in another region", "set [s3] region to the bucket's own"


def short_message(error: BaseException) -> str:
    """The message of an error in one line of limited length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:297]}..."  # noqa: PLR2004 - a line and a half on a wide screen
