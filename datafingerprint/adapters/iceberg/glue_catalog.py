"""The AWS Glue Data Catalog as the lake's catalog."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from pyiceberg.catalog.glue import GlueCatalog, _construct_table_input
from pyiceberg.io import FileIO
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.typedef import EMPTY_DICT, Properties

from datafingerprint.config import S3, Lake
from datafingerprint.errors import LakeTableError

CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 30
CONNECTIONS = 32

_PRESENT = "metadata_location"
_ICEBERG = "ICEBERG"
_MISSING = "EntityNotFoundException"


class LakeGlueCatalog(GlueCatalog):
    """Glue, with tables that are read and written with the keys of `[s3]`.

    Args:
        name: The catalog's name in this process.
        io: Access to the files of all tables.
        client: A client of Glue that repeats no request, because a repeated commit conflicts with itself.
        properties: The options of pyiceberg.
    """

    def __init__(self, name: str, io: FileIO, client: Any, **properties: str) -> None:  # noqa: ANN401 - boto3 makes its classes at run time
        self._io = io
        super().__init__(name, client, **properties)

    def _load_file_io(self, properties: Properties = EMPTY_DICT, location: str | None = None) -> FileIO:  # noqa: ARG002 - one access to all files
        return self._io

    def metadata_location(self, name: tuple[str, str]) -> str | None:
        """The location of a table's current metadata; None for a missing table.

        Raises:
            LakeTableError: Glue has another kind of table under the name.
        """
        entry = self._entry(name)
        return None if entry is None else _location(entry, name)

    def _entry(self, name: tuple[str, str]) -> Any:  # noqa: ANN401 - Glue's answer
        try:
            return self.glue.get_table(DatabaseName=name[0], Name=name[1])["Table"]
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == _MISSING:
                return None
            raise

    def entries(self, database: str) -> Iterator[tuple[tuple[str, str], str]]:
        """Names and metadata locations of the Iceberg tables of a database, which may be missing."""
        try:
            for page in self.glue.get_paginator("get_tables").paginate(DatabaseName=database):
                for entry in page["TableList"]:
                    parameters = entry.get("Parameters", {})
                    if parameters.get("table_type", "").upper() == _ICEBERG and _PRESENT in parameters:
                        yield (database, entry["Name"]), parameters[_PRESENT]
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != _MISSING:
                raise

    def replace(self, name: tuple[str, str], before: str, location: str, metadata: TableMetadata) -> bool:
        """Names new metadata for a table whose current metadata is at `before`.

        Returns:
            False if Glue names other metadata; then nothing has changed.

        Raises:
            CommitFailedException: the entry changed after it was read. Nothing has changed.
        """
        entry = self._entry(name)
        if entry is None or _location(entry, name) != before:
            return False
        wanted = _construct_table_input(
            table_name=name[1],
            metadata_location=location,
            properties=metadata.properties,
            metadata=metadata,
            glue_table=entry,
            prev_metadata_location=before,
        )
        self._update_glue_table(
            database_name=name[0], table_name=name[1], table_input=wanted, version_id=entry.get("VersionId", "0")
        )
        return True


def _location(entry: Any, name: tuple[str, str]) -> str:  # noqa: ANN401 - Glue's answer
    parameters = entry.get("Parameters", {})
    if parameters.get("table_type", "").upper() != _ICEBERG or not parameters.get(_PRESENT):
        raise LakeTableError(
            f"{'.'.join(name)} is in Glue, but is not an Iceberg table",
            where="Glue",
            remedy="drop or rename it there, or exclude the table",
        )
    return str(parameters[_PRESENT])


def open_glue_catalog(name: str, lake: Lake, s3: S3, io: FileIO) -> LakeGlueCatalog:
    """Open Glue in the region of `[s3]`. No request is sent."""
    options = lake.options
    keys: dict[str, Any] = {}
    if s3.access_key:
        keys = {
            "aws_access_key_id": s3.access_key,
            "aws_secret_access_key": s3.secret_key.get_secret_value(),
            "aws_session_token": s3.session_token.get_secret_value() or None,
        }
    client = boto3.client(
        "glue",
        region_name=options.get("glue.region", s3.region),
        endpoint_url=options.get("glue.endpoint"),
        config=Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            retries={"total_max_attempts": 1, "mode": "standard"},
            max_pool_connections=CONNECTIONS,
        ),
        **keys,
    )
    catalog_id = lake.catalog.get_secret_value().partition("://")[2].strip("/")
    if catalog_id:
        client.meta.events.register(
            "provide-client-params.glue", lambda params, **_: {"CatalogId": catalog_id, **params}
        )
    return LakeGlueCatalog(name, io, client, **options)
