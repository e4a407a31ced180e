"""The way to the lake: its catalog, its object store, and what to call them in an error."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pyarrow.fs as pa_fs
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from mypy_boto3_s3 import S3Client
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import PyArrowFileIO
from sqlalchemy import select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from datafingerprint.adapters import postgres
from datafingerprint.adapters.lake_errors import CHECK_CATALOG, NO_BUCKET, said, translate, translated
from datafingerprint.config import S3, Settings
from datafingerprint.errors import ConfigError, LakeError

CATALOG_NAME = "datafingerprint"
"""The catalog's name in its own tables; another engine that reads the same database must be told it."""

CA_FILE = "dfp.s3-ca-file"
"""Our own property of the catalog: where the authorities are that may sign the store's certificate."""

CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 30
ATTEMPTS = 2
CONNECTIONS = 32
CATALOG_BUSY_S = 30  # SQLite: how long a commit waits for another process's


class LakeFileIO(PyArrowFileIO):
    """Iceberg's files through `pyarrow.fs`; small objects are put by one request instead of a multipart upload.

    The class is named to pyiceberg by its path (`py-io-impl`), and gets its settings as the catalog's properties.
    """

    def _initialize_s3_fs(self, netloc: str | None) -> pa_fs.FileSystem:  # noqa: ARG002 - pyiceberg's signature
        return pa_fs.S3FileSystem(
            endpoint_override=self.properties.get("s3.endpoint"),
            access_key=self.properties.get("s3.access-key-id"),
            secret_key=self.properties.get("s3.secret-access-key"),
            session_token=self.properties.get("s3.session-token"),
            region=self.properties.get("s3.region"),
            tls_ca_file_path=self.properties.get(CA_FILE),
            connect_timeout=CONNECT_TIMEOUT_S,
            request_timeout=READ_TIMEOUT_S,
            retry_strategy=pa_fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
            allow_delayed_open=True,
            # Else a long file is held in memory as a queue of parts: the disk is faster than the store.
            background_writes=False,
        )


@dataclass(frozen=True)
class LakeConnection:
    """An open catalog over a warehouse.

    Attributes:
        catalog: Where the tables' present metadata is named.
        warehouse: The prefix below which all tables lie.
        where: What to call the object store in an error.
    """

    catalog: SqlCatalog
    warehouse: str
    where: str

    def metadata_location(self, identifier: tuple[str, str]) -> str | None:
        """Where a table's present metadata lies, by one small query; None when there is no such table."""
        statement = select(IcebergTables.metadata_location).where(
            IcebergTables.catalog_name == self.catalog.name,
            IcebergTables.table_namespace == identifier[0],
            IcebergTables.table_name == identifier[1],
        )
        with self.catalog.engine.connect() as connection:
            location: str | None = connection.execute(statement).scalar_one_or_none()
        return location

    def io(self) -> FileIO:
        """A way to the warehouse's files."""
        return self.catalog._load_file_io(location=self.warehouse)  # noqa: SLF001 - the catalog's own choice of IO

    def close(self) -> None:
        """Ends the catalog's connections."""
        self.catalog.close()


def open_connection(settings: Settings, *, make_tables: bool = True) -> LakeConnection:
    """Opens the catalog that the settings name over the bucket that they name; creates the catalog's own tables.

    Raises:
        ConfigError: the catalog's URL is not fit.
        Unavailable: the catalog is away.
        LakeError: the catalog refuses user or password, or its file cannot be written.
    """
    s3 = settings.s3
    warehouse = "/".join(part for part in (f"s3://{s3.bucket}", settings.lake.path.strip("/")) if part)
    properties = file_properties(s3) | ({} if make_tables else {"init_catalog_tables": "false"})
    return connect(settings.lake.catalog.get_secret_value(), warehouse, store_name(s3), properties)


def file_properties(s3: S3) -> dict[str, str]:
    """What `LakeFileIO` is to know of the object store."""
    properties = {
        "s3.region": s3.region,
        "s3.endpoint": s3.endpoint,
        "s3.access-key-id": s3.access_key,
        "s3.secret-access-key": s3.secret_key.get_secret_value(),
        "s3.session-token": s3.session_token.get_secret_value(),
        CA_FILE: s3.ca_file,
    }
    return {key: text for key, text in properties.items() if text}


def connect(catalog_url: str, warehouse: str, where: str, properties: dict[str, str] | None = None) -> LakeConnection:
    """Opens a catalog over any warehouse, such as a `file://` folder.

    Raises:
        ConfigError: the catalog's URL is not fit.
        Unavailable: the catalog is away.
        LakeError: the catalog refuses user or password, or its file cannot be written.
    """
    url = _prepared_url(catalog_url)
    io = f"{LakeFileIO.__module__}.{LakeFileIO.__qualname__}"
    # A server that was started again meanwhile is no reason to begin a service's work anew.
    given = {"uri": url, "warehouse": warehouse, "py-io-impl": io, "pool_pre_ping": "true", **(properties or {})}
    with translated("opening the catalog", where=where):
        catalog = _open_catalog(given)
        if catalog.engine.dialect.name == "postgresql":
            postgres.set_up(catalog.engine)
            postgres.commit_durably(catalog.engine)
        _let_others_read(catalog)
        return LakeConnection(catalog, warehouse, where)


def _open_catalog(properties: dict[str, str]) -> SqlCatalog:
    try:
        try:
            return SqlCatalog(CATALOG_NAME, **properties)
        except DBAPIError:
            # Two services that start at once both find no tables; the slower one's CREATE TABLE fails once.
            return SqlCatalog(CATALOG_NAME, **properties)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        remedy = "install the database's driver, or write the URL with one that is installed"
        raise ConfigError(f"setting lake.catalog cannot be used ({said(error)})", remedy=remedy) from error


def _let_others_read(catalog: SqlCatalog) -> None:
    """SQLite: gives the catalog a write-ahead log, which its file then keeps.

    Without one a query engine that leaves a statement open on the catalog keeps every commit out for as long.
    """
    if catalog.engine.dialect.name != "sqlite":
        return
    # Whoever is reading just now puts it off until the next start; one that has it already asks for no lock.
    with contextlib.suppress(DBAPIError), catalog.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")


def _prepared_url(text: str) -> str:
    try:
        url = make_url(text)
    except ArgumentError:
        raise ConfigError("setting lake.catalog is not a SQLAlchemy URL", remedy=CHECK_CATALOG) from None
    if url.get_backend_name() == "sqlite":
        url = _prepared_sqlite(url)
    elif postgres.is_postgres(url):
        url = postgres.prepared(url, "lake.catalog")
    return url.render_as_string(hide_password=False)


def _prepared_sqlite(url: URL) -> URL:
    if url.database and url.database != ":memory:":
        try:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LakeError(f"the catalog's folder cannot be made ({said(error)})", remedy=CHECK_CATALOG) from error
    return url.update_query_dict({"timeout": str(CATALOG_BUSY_S)}) if "timeout" not in url.query else url


def store_name(s3: S3) -> str:
    """What to call the bucket in an error."""
    return f"bucket {s3.bucket} at {s3.endpoint or 'Amazon S3'}"


def s3_client(s3: S3) -> S3Client:
    """A client of the object store; it may be used by several threads; the caller closes it."""
    keys: dict[str, Any] = {}
    if s3.access_key:
        keys = {
            "aws_access_key_id": s3.access_key,
            "aws_secret_access_key": s3.secret_key.get_secret_value(),
            "aws_session_token": s3.session_token.get_secret_value() or None,
        }
    return boto3.client(
        "s3",
        region_name=s3.region,
        endpoint_url=s3.endpoint or None,
        verify=s3.ca_file or None,
        config=Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
            max_pool_connections=CONNECTIONS,
            # Other servers know neither host names per bucket nor the newer checksums.
            s3={"addressing_style": "path" if s3.endpoint else "auto"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
        **keys,
    )


def require_bucket(s3: S3) -> None:
    """Demands that the bucket is there and that the keys open it.

    Raises:
        Unavailable: the store is away.
        LakeError: the bucket does not exist, or the store refuses the keys.
        ConfigError: there are no keys, or the endpoint is not a URL.
    """
    where = store_name(s3)
    if s3.endpoint and urlsplit(s3.endpoint).scheme not in {"http", "https"}:
        raise ConfigError("setting s3.endpoint is not a URL", remedy="write it like http://127.0.0.1:9000")
    client = s3_client(s3)
    try:
        client.head_bucket(Bucket=s3.bucket)
    except ClientError as error:
        # The answer to a HEAD has no body, so the code is the HTTP status.
        if error.response.get("Error", {}).get("Code") in {"404", "NoSuchBucket"}:
            endpoint = s3.endpoint or "Amazon S3"
            raise LakeError(f"bucket {s3.bucket} does not exist at {endpoint}", remedy=NO_BUCKET) from error
        raise translate(error, "looking for the bucket", where) from error
    except BotoCoreError as error:
        raise translate(error, "looking for the bucket", where) from error
    finally:
        client.close()
