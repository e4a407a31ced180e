"""The lake told to AWS Glue: where each table's present metadata is, for engines that look there, such as Redshift."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError
from pyiceberg.table import Table

from datafingerprint.adapters.lake_connection import ATTEMPTS, CONNECT_TIMEOUT_S, READ_TIMEOUT_S, LakeConnection
from datafingerprint.adapters.lake_definition import identifier
from datafingerprint.adapters.lake_errors import WRONG_KEYS, said, translated
from datafingerprint.adapters.lake_export import Exported
from datafingerprint.config import S3
from datafingerprint.errors import ConfigError, ConflictError, DataFingerprintError, LakeError, Unavailable
from datafingerprint.schema import TableSchema

_KIND, _PRESENT, _BEFORE = "table_type", "metadata_location", "previous_metadata_location"
_ICEBERG = "ICEBERG"

_OVERTAKEN = ("ConcurrentModificationException", "AlreadyExistsException")
_AWAY = ("ThrottlingException", "InternalServiceException", "OperationTimeoutException", "ResourceNotReadyException")
_SERVER_ERROR = 500

# Glue has Hive's words for what Iceberg calls otherwise.
_TYPES = {"long": "bigint", "timestamptz": "timestamp"}


class GlueCopy:
    """Glue's Data Catalog, in which every table of the lake has a copy of its catalog's entry.

    Args:
        s3: The region; and the keys, unless they are the environment's or the machine's.
        endpoint: URL of a server that speaks as Glue does; empty for Amazon's own.

    Raises:
        ConfigError: the endpoint is not a URL.
    """

    def __init__(self, s3: S3, endpoint: str = "") -> None:
        if endpoint and urlsplit(endpoint).scheme not in {"http", "https"}:
            raise ConfigError("--endpoint is not a URL", remedy="write it like http://127.0.0.1:5000")
        keys: dict[str, Any] = {}
        if s3.access_key:
            keys = {
                "aws_access_key_id": s3.access_key,
                "aws_secret_access_key": s3.secret_key.get_secret_value(),
                "aws_session_token": s3.session_token.get_secret_value() or None,
            }
        self._where = endpoint or f"Glue of {s3.region}"
        self._client: Any = boto3.client(
            "glue",
            region_name=s3.region,
            endpoint_url=endpoint or None,
            config=Config(
                connect_timeout=CONNECT_TIMEOUT_S,
                read_timeout=READ_TIMEOUT_S,
                retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
            ),
            **keys,
        )

    def close(self) -> None:
        """Ends the connections."""
        self._client.close()

    def tell(self, connection: LakeConnection, tables: Sequence[TableSchema]) -> list[Exported]:
        """Tells Glue where the tables' present metadata is; those not in the lake are left out, and none is removed.

        Raises:
            ConflictError: somebody else told Glue of the table meanwhile.
            Unavailable: Glue, the catalog or the store is away.
            LakeError: Glue refuses.
            ConfigError: a name is none of Glue's, a table of that name is none of Iceberg's, or there are no keys.
        """
        told = []
        for table in tables:
            names = identifier(table)
            _require_lower_case(table, names)
            # First Glue, then the catalog: so an entry that somebody else puts later is never replaced by an older one.
            with self._translated(f"looking for {table.table}"):
                there = self._table(names)
            with translated(f"looking for {table.table}", where=connection.where):
                if connection.metadata_location(names) is None:
                    continue
                present = connection.catalog.load_table(names)
            with self._translated(f"telling of {table.table}"):
                self._put(names, present, there)
            told.append(Exported(table.table, present.metadata_location))
        return told

    def _put(self, names: tuple[str, str], present: Table, there: Mapping[str, Any] | None) -> None:
        if there is None:
            self._make_database(names[0])
            self._client.create_table(DatabaseName=names[0], TableInput=_entry(names[1], present, {}))
            return
        known = there.get("Parameters", {})
        if known.get(_KIND, "").upper() != _ICEBERG:
            raise ConfigError(
                f"{names[0]}.{names[1]} is in Glue, and is no Iceberg table",
                where=self._where,
                remedy="drop it there, or give it another name",
            )
        if known.get(_PRESENT) == present.metadata_location:
            return
        self._client.update_table(
            DatabaseName=names[0],
            TableInput=_entry(names[1], present, known),
            SkipArchive=True,
            # Refused when it is no longer the entry that was looked at.
            VersionId=there.get("VersionId", "0"),
        )

    def _table(self, names: tuple[str, str]) -> Mapping[str, Any] | None:
        try:
            found: Mapping[str, Any] = self._client.get_table(DatabaseName=names[0], Name=names[1])["Table"]
        except ClientError as error:
            if _code(error) == "EntityNotFoundException":
                return None
            raise
        return found

    def _make_database(self, name: str) -> None:
        try:
            self._client.get_database(Name=name)
        except ClientError as error:
            if _code(error) != "EntityNotFoundException":
                raise
            self._client.create_database(DatabaseInput={"Name": name})

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except (ClientError, BotoCoreError) as error:
            raise _translate(error, what, self._where) from error


def _require_lower_case(table: TableSchema, names: tuple[str, str]) -> None:
    if any(name != name.lower() for name in names):
        raise ConfigError(
            f"{table.table} is {'.'.join(names)} in the lake, and Glue writes all names in lower case",
            remedy="ask another engine for this table (docs/engines.md)",
        )


def _entry(name: str, present: Table, known: Mapping[str, str]) -> dict[str, Any]:
    """What Iceberg's libraries expect of a table in Glue; its columns are for people, engines read the metadata."""
    before = {_BEFORE: known[_PRESENT]} if _PRESENT in known else {}
    columns = [{"Name": field.name, "Type": _type(str(field.field_type))} for field in present.schema().fields]
    return {
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {**known, _KIND: _ICEBERG, _PRESENT: present.metadata_location, **before},
        "StorageDescriptor": {"Columns": columns, "Location": present.location()},
    }


def _type(iceberg: str) -> str:
    return _TYPES.get(iceberg, iceberg.replace(" ", ""))


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _translate(error: ClientError | BotoCoreError, what: str, where: str) -> DataFingerprintError:
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return ConfigError(f"{what}: there are no keys to sign with", where=where, remedy=WRONG_KEYS)
    if not isinstance(error, ClientError):
        return Unavailable(f"{what}: Glue is away ({said(error)})", where=where)
    if _code(error) in _OVERTAKEN:
        return ConflictError(f"{what}: somebody else was first ({said(error)})", where=where)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if _code(error) in _AWAY or status >= _SERVER_ERROR:
        return Unavailable(f"{what}: Glue is away ({said(error)})", where=where)
    remedy = "look at what the keys may do in Glue (deploy/redshift/README.md)"
    return LakeError(f"{what}: Glue refused ({said(error)})", where=where, remedy=remedy)
