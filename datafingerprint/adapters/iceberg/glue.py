"""Copies the catalog to AWS Glue, for engines that read tables from there, such as Redshift."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError
from pyiceberg.table import Table

from datafingerprint.adapters.iceberg.connection import ATTEMPTS, CONNECT_TIMEOUT_S, READ_TIMEOUT_S, LakeConnection
from datafingerprint.adapters.iceberg.definition import identifier
from datafingerprint.adapters.iceberg.errors import WRONG_KEYS, short_message, translated
from datafingerprint.adapters.iceberg.export import ExportedTable
from datafingerprint.config import S3
from datafingerprint.errors import ConfigError, ConflictError, DataFingerprintError, LakeError, Unavailable
from datafingerprint.schema import TableSchema

_KIND, _PRESENT, _BEFORE = "table_type", "metadata_location", "previous_metadata_location"
_ICEBERG = "ICEBERG"

_OVERTAKEN = ("ConcurrentModificationException", "AlreadyExistsException")
_AWAY = ("ThrottlingException", "InternalServiceException", "OperationTimeoutException", "ResourceNotReadyException")
_SERVER_ERROR = 500

# Glue uses Hive's names for some of Iceberg's types.
_TYPES = {"long": "bigint", "timestamptz": "timestamp"}


class GlueCopy:
    """A copy of the lake's catalog entries in the Glue Data Catalog.

    Args:
        s3: The region, and the keys unless those of the environment or the machine are used.
        endpoint: URL of a server with the API of Glue; empty for Amazon's.

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
        """Closes the connections."""
        self._client.close()

    def update(self, connection: LakeConnection, tables: Sequence[TableSchema]) -> list[ExportedTable]:
        """Updates the metadata locations in Glue.

        Tables that are not in the lake are skipped. No entry is removed.

        Raises:
            ConflictError: another client updated the entry meanwhile.
            Unavailable: Glue, the catalog or the store is away.
            LakeError: Glue refuses.
            ConfigError: Glue cannot hold a name, has a table of another kind under it, or keys are missing.
        """
        exported = []
        for table in tables:
            name = identifier(table)
            _require_lower_case(table, name)
            # Glue is read before the catalog, so a newer entry of another client is never replaced by an older one.
            with self._translated(f"looking for {table.table}"):
                entry = self._table(name)
            with translated(f"looking for {table.table}", where=connection.where):
                if connection.metadata_location(name) is None:
                    continue
                current = connection.catalog.load_table(name)
            with self._translated(f"updating {table.table} in Glue"):
                self._put(name, current, entry)
            exported.append(ExportedTable(table.table, current.metadata_location))
        return exported

    def _put(self, names: tuple[str, str], current: Table, entry: Mapping[str, Any] | None) -> None:
        if entry is None:
            self._make_database(names[0])
            self._client.create_table(DatabaseName=names[0], TableInput=_entry(names[1], current, {}))
            return
        parameters = entry.get("Parameters", {})
        if parameters.get(_KIND, "").upper() != _ICEBERG:
            raise ConfigError(
                f"{names[0]}.{names[1]} is in Glue, but is not an Iceberg table",
                where=self._where,
                remedy="drop or rename it there",
            )
        if parameters.get(_PRESENT) == current.metadata_location:
            return
        self._client.update_table(
            DatabaseName=names[0],
            TableInput=_entry(names[1], current, parameters),
            SkipArchive=True,
            # Glue refuses the update if the entry has changed since it was read.
            VersionId=entry.get("VersionId", "0"),
        )

    def _table(self, names: tuple[str, str]) -> Mapping[str, Any] | None:
        try:
            entry: Mapping[str, Any] = self._client.get_table(DatabaseName=names[0], Name=names[1])["Table"]
        except ClientError as error:
            if _code(error) == "EntityNotFoundException":
                return None
            raise
        return entry

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
            f"{table.table} is {'.'.join(names)} in the lake, but Glue stores names in lower case",
            remedy="use another engine for this table (docs/engines.md)",
        )


def _entry(name: str, current: Table, parameters: Mapping[str, str]) -> dict[str, Any]:
    """A table's entry as Iceberg's libraries expect it. Engines ignore the columns in it."""
    before = {_BEFORE: parameters[_PRESENT]} if _PRESENT in parameters else {}
    columns = [{"Name": field.name, "Type": _type(str(field.field_type))} for field in current.schema().fields]
    return {
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {**parameters, _KIND: _ICEBERG, _PRESENT: current.metadata_location, **before},
        "StorageDescriptor": {"Columns": columns, "Location": current.location()},
    }


def _type(iceberg: str) -> str:
    return _TYPES.get(iceberg, iceberg.replace(" ", ""))


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _translate(error: ClientError | BotoCoreError, what: str, where: str) -> DataFingerprintError:
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return ConfigError(f"{what}: there are no keys to sign with", where=where, remedy=WRONG_KEYS)
    if not isinstance(error, ClientError):
        return Unavailable(f"{what}: Glue is away ({short_message(error)})", where=where)
    if _code(error) in _OVERTAKEN:
        return ConflictError(f"{what}: another client was first ({short_message(error)})", where=where)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if _code(error) in _AWAY or status >= _SERVER_ERROR:
        return Unavailable(f"{what}: Glue is away ({short_message(error)})", where=where)
    remedy = "check the permissions of the keys in Glue (deploy/redshift/README.md)"
    return LakeError(f"{what}: Glue refused ({short_message(error)})", where=where, remedy=remedy)
