"""Connections to the lake: its catalog and its object store, with their names for errors."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import pyarrow.fs as pa_fs
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import StagedTable, Table
from pyiceberg.table.locations import load_location_provider
from pyiceberg.table.metadata import TableMetadata, new_table_metadata
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.typedef import Properties
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, NoSuchModuleError

from datafingerprint.adapters.iceberg.catalog_entries import CatalogEntries, entries_of
from datafingerprint.adapters.iceberg.errors import (
    CATALOG_FORMS,
    NO_BUCKET,
    other_region,
    short_message,
    translate,
    translated,
)
from datafingerprint.adapters.iceberg.glue_catalog import open_glue_catalog
from datafingerprint.adapters.iceberg.rest_catalog import open_rest_catalog
from datafingerprint.adapters.runtime import postgres
from datafingerprint.config import S3, Lake, Settings
from datafingerprint.errors import ConfigError, LakeError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CATALOG_NAME = "datafingerprint"
"""The catalog's name in its tables. Other engines need it to read the same database."""

CA_FILE = "dfp.s3-ca-file"
"""A catalog property of ours: the file of authorities for the store's certificate."""

CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 30
ATTEMPTS = 2
CONNECTIONS = 32
CATALOG_BUSY_S = 30  # SQLite: longest wait of a commit for that of another process


class LakeFileIO(PyArrowFileIO):
    """Iceberg files through `pyarrow.fs`. A small object is written with one request.

    pyiceberg loads the class by its path (`py-io-impl`), with the catalog's properties as settings.
    """

    def _initialize_s3_fs(self, netloc: str | None) -> pa_fs.FileSystem:  # noqa: ARG002 - pyiceberg's signature
        return _s3_file_system(*(self.properties.get(name) for name in (*_S3_PROPERTIES, CA_FILE)))


_S3_PROPERTIES = ("s3.endpoint", "s3.access-key-id", "s3.secret-access-key", "s3.session-token", "s3.region")


@functools.lru_cache(maxsize=4)
def _s3_file_system(
    endpoint: str | None,
    access_key: str | None,
    secret_key: str | None,
    session_token: str | None,
    region: str | None,
    ca_file: str | None,
) -> pa_fs.S3FileSystem:
    """One file system for all tables.

    pyiceberg makes one per table and load, which took an eighth of a small commit's time.
    """
    return pa_fs.S3FileSystem(
        endpoint_override=endpoint,
        access_key=access_key,
        secret_key=secret_key,
        session_token=session_token,
        region=region,
        tls_ca_file_path=ca_file,
        connect_timeout=CONNECT_TIMEOUT_S,
        request_timeout=READ_TIMEOUT_S,
        retry_strategy=pa_fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        allow_delayed_open=True,
        # Otherwise a long file queues up in memory, because the disk is faster than the store.
        background_writes=False,
    )


@dataclass(frozen=True)
class LakeConnection:
    """An open catalog over a warehouse.

    Attributes:
        catalog: The catalog, which names the current metadata of each table.
        warehouse: The prefix of all tables.
        where: The name of the object store, for errors.
    """

    catalog: Catalog
    warehouse: str
    where: str

    @functools.cached_property
    def _entries(self) -> CatalogEntries:
        return entries_of(self.catalog)

    def require_name(self, identifier: tuple[str, str]) -> None:
        """Checks that the catalog can hold a table of this name.

        Raises:
            LakeTableError: it cannot.
        """
        self._entries.require_name(identifier)

    def metadata_location(self, identifier: tuple[str, str]) -> str | None:
        """The location of a table's current metadata, by one small request.

        Returns:
            None for a missing table.
        """
        return self._entries.location(identifier)

    def metadata_locations(self, names: Collection[tuple[str, str]] | None = None) -> dict[tuple[str, str], str]:
        """The locations of the current metadata by namespace and name.

        A SQL catalog answers by one query.

        Args:
            names: The tables that are needed; None: all. The answer may hold more.
        """
        return self._entries.locations(names)

    def our_locations(self) -> dict[tuple[str, str], str]:
        """The locations of all tables below the warehouse. A catalog may hold tables of others."""
        return {
            name: location
            for name, location in self.metadata_locations().items()
            if location.startswith(f"{self.warehouse}/")
        }

    def stage(
        self, identifier: tuple[str, str], schema: Schema, spec: PartitionSpec, location: str, properties: Properties
    ) -> StagedTable:
        """A new table that is not in the catalog yet. Nothing is written."""
        return StagedTable(
            identifier=identifier,
            metadata=new_table_metadata(
                location=location,
                schema=schema,
                partition_spec=spec,
                sort_order=UNSORTED_SORT_ORDER,
                properties=properties,
            ),
            metadata_location=load_location_provider(location, properties).new_table_metadata_file_location(),
            io=self.io(),
            catalog=self.catalog,
        )

    def replace(self, identifier: tuple[str, str], before: str, staged: Table, metadata: TableMetadata) -> Table:
        """Replaces a table with another one: readers see the old table or the new one.

        A SQL catalog and Glue do it atomically. In a REST catalog the table is missing for a moment.

        Args:
            identifier: Namespace and name.
            before: The metadata location of the old table.
            staged: The new table, as `stage` made it.
            metadata: The metadata of the new table.

        Raises:
            ConflictError: the catalog already names other metadata. Nothing has changed.
        """
        self._entries.replace(identifier, before, staged, metadata)
        return self.catalog.load_table(identifier)

    def io(self) -> FileIO:
        """Access to the warehouse's files."""
        return self.catalog._load_file_io(location=self.warehouse)  # noqa: SLF001 - the catalog's own choice of IO

    def close(self) -> None:
        """Closes the catalog's connections."""
        self.catalog.close()


def open_connection(settings: Settings, *, make_tables: bool = True) -> LakeConnection:
    """Open the configured catalog over the configured bucket.

    Args:
        settings: All settings.
        make_tables: Whether to create the tables of the catalog.

    Raises:
        ConfigError: the catalog's URL is invalid.
        Unavailable: the catalog is away.
        LakeError: the catalog refuses user or password, or its file cannot be written.
    """
    s3 = settings.s3
    warehouse = "/".join(part for part in (f"s3://{s3.bucket}", settings.lake.path.strip("/")) if part)
    properties = file_properties(s3) | ({} if make_tables else {"init_catalog_tables": "false"})
    if settings.lake.catalog_kind != "sql":
        with translated("opening the catalog", where=store_name(s3)):
            return LakeConnection(_open_remote(settings.lake, s3, LakeFileIO(properties)), warehouse, store_name(s3))
    return connect(settings.lake.database.get_secret_value(), warehouse, store_name(s3), properties)


def file_properties(s3: S3) -> dict[str, str]:
    """The properties of `LakeFileIO`."""
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
    """Open a catalog over any warehouse, such as a `file://` folder.

    Raises:
        ConfigError: the catalog's URL is invalid.
        Unavailable: the catalog is away.
        LakeError: the catalog refuses user or password, or its file cannot be written.
    """
    url = _prepared_url(catalog_url)
    io = f"{LakeFileIO.__module__}.{LakeFileIO.__qualname__}"
    # `pool_pre_ping`: a restart of the database must not restart the service.
    options = {"uri": url, "warehouse": warehouse, "py-io-impl": io, "pool_pre_ping": "true", **(properties or {})}
    with translated("opening the catalog", where=where):
        catalog = _open_catalog(options)
        if catalog.engine.dialect.name == "postgresql":
            postgres.set_up(catalog.engine)
            postgres.commit_durably(catalog.engine)
        if options.get("init_catalog_tables") != "false":
            _use_write_ahead_log(catalog)
        return LakeConnection(catalog, warehouse, where)


def _open_remote(lake: Lake, s3: S3, io: FileIO) -> Catalog:
    if lake.catalog_kind == "glue":
        return open_glue_catalog(CATALOG_NAME, lake, s3, io)
    try:
        return open_rest_catalog(CATALOG_NAME, lake, s3, io)
    # An answer that is not of Iceberg's API, an option of a wrong type, a URL that is none.
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, OSError):
            raise
        raise ConfigError(
            f"setting lake.catalog names no Iceberg REST catalog ({short_message(error)})",
            remedy="write the URL to which clients add /v1/config, and check lake.catalog_options",
        ) from error


def _open_catalog(properties: dict[str, str]) -> SqlCatalog:
    try:
        try:
            return SqlCatalog(CATALOG_NAME, **properties)
        except DBAPIError:
            # If two services start at once and find no tables, CREATE TABLE of the slower one fails once.
            return SqlCatalog(CATALOG_NAME, **properties)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        remedy = "install the database's driver, or name an installed one in the URL"
        raise ConfigError(f"setting lake.catalog cannot be used ({short_message(error)})", remedy=remedy) from error


def _use_write_ahead_log(catalog: SqlCatalog) -> None:
    """Turns the write-ahead log of a SQLite catalog on, which its file then keeps.

    Without the log, a query engine with an open statement on the catalog blocks every commit.
    """
    if catalog.engine.dialect.name != "sqlite":
        return
    # A current reader delays this until the next start. A catalog that has the log already needs no lock.
    with contextlib.suppress(DBAPIError), catalog.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")


def _prepared_url(text: str) -> str:
    url = postgres.parsed(text, "lake.catalog")
    if url is None:
        raise ConfigError("setting lake.catalog is not a SQLAlchemy URL", remedy=CATALOG_FORMS)
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
            raise LakeError(
                f"the catalog's folder cannot be created ({short_message(error)})",
                where=url.database,
                remedy="let this user write there, or name another place as [lake] catalog",
            ) from error
    return url.update_query_dict({"timeout": str(CATALOG_BUSY_S)}) if "timeout" not in url.query else url


def store_name(s3: S3) -> str:
    """The name of the bucket, for errors."""
    return f"bucket {s3.bucket} at {s3.endpoint or 'Amazon S3'}"


def s3_client(s3: S3) -> S3Client:
    """A client of the object store, for several threads. The caller closes it."""
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
            # Other stores support neither host names per bucket nor the newer checksums.
            s3={"addressing_style": "path" if s3.endpoint else "auto"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
        **keys,
    )


def require_bucket(s3: S3) -> None:
    """Check that the bucket exists and that the keys may use it.

    Raises:
        Unavailable: the store is away.
        LakeError: the bucket does not exist, or the store refuses the keys.
        ConfigError: keys are missing, the endpoint is not a URL, or the bucket is in another region.
    """
    where = store_name(s3)
    if s3.endpoint and urlsplit(s3.endpoint).scheme not in {"http", "https"}:
        raise ConfigError("setting s3.endpoint is not a URL", remedy="write it like http://127.0.0.1:9000")
    client = s3_client(s3)
    try:
        answer = client.head_bucket(Bucket=s3.bucket)
        # On Amazon S3 this client follows the bucket to its region, but the client that writes data files does not.
        _require_region(s3, answer.get("BucketRegion", s3.region) if not s3.endpoint else s3.region)
    except ClientError as error:
        metadata = error.response.get("ResponseMetadata", {})
        # Another store's region header counts only in an answer about the region.
        if not s3.endpoint or metadata.get("HTTPStatusCode") in {301, 307, 400}:
            _require_region(s3, metadata.get("HTTPHeaders", {}).get("x-amz-bucket-region", s3.region))
        # The answer to a HEAD has no body, so the code is the HTTP status.
        if error.response.get("Error", {}).get("Code") in {"404", "NoSuchBucket"}:
            endpoint = s3.endpoint or "Amazon S3"
            raise LakeError(f"bucket {s3.bucket} does not exist", where=endpoint, remedy=NO_BUCKET) from error
        raise translate(error, "looking for the bucket", where) from error
    except BotoCoreError as error:
        raise translate(error, "looking for the bucket", where) from error
    finally:
        client.close()


def _require_region(s3: S3, region: str) -> None:
    if region != s3.region:
        what, remedy = other_region(region)
        raise ConfigError(f"{what}, [s3] region is {s3.region}", where=store_name(s3), remedy=remedy)
