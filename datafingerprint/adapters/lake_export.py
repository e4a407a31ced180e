"""The lake told to engines that do not read its catalog: a list of live files, or the files of Presto's metastore."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datafingerprint.adapters.lake_connection import LakeConnection
from datafingerprint.adapters.lake_definition import identifier
from datafingerprint.adapters.lake_errors import translated
from datafingerprint.errors import ConfigError
from datafingerprint.ports import LakeFile
from datafingerprint.schema import TableSchema

_SCHEMA_FILE = ".prestoSchema"
# Presto's file system checks a file against the sum beside it; one that is not there is not asked for.
_CHECKSUM_FILE = f".{_SCHEMA_FILE}.crc"


def manifest(files: Sequence[LakeFile]) -> dict[str, Any]:
    """The list of live files in the form that Redshift Spectrum and COPY read."""
    return {
        "entries": [
            {"url": file.path, "mandatory": True, "meta": {"content_length": file.octets}}
            for file in sorted(files, key=lambda file: file.path)
        ]
    }


@dataclass(frozen=True, slots=True)
class Exported:
    """A table as it was written: its name and where its metadata was."""

    table: str
    metadata_location: str


def write_metastore(connection: LakeConnection, tables: Sequence[TableSchema], folder: Path) -> list[Exported]:
    """Writes what Presto's file metastore needs to find the tables as they are now; those not in the lake are left out.

    Each file is replaced whole, so that a running Presto finds the old state or the new one.

    Raises:
        ConfigError: the folder cannot be written.
        Unavailable: the catalog or the store is away.
    """
    written = []
    for table in tables:
        namespace, name = identifier(table)
        with translated(f"looking for {table.table}", where=connection.where):
            location = connection.metadata_location((namespace, name))
            if location is None:
                continue
            place = connection.catalog.load_table((namespace, name)).location()
        try:
            _replace(folder / namespace, {"ownerName": "datafingerprint", "ownerType": "USER", "parameters": {}})
            _replace(folder / namespace / name, _document(location, place))
        except OSError as error:
            raise ConfigError(f"cannot write {folder}", remedy=str(error.strerror)) from error
        written.append(Exported(table.table, location))
    return written


def _document(metadata_location: str, place: str) -> dict[str, Any]:
    # An Iceberg table's columns are in its metadata; the metastore demands one of its own.
    return {
        "owner": "datafingerprint",
        "tableType": "EXTERNAL_TABLE",
        "dataColumns": [{"name": "iceberg", "type": "string"}],
        "partitionColumns": [],
        "parameters": {"table_type": "iceberg", "metadata_location": metadata_location, "EXTERNAL": "TRUE"},
        "storageFormat": {
            "serDe": "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
            "inputFormat": "org.apache.hadoop.mapred.FileInputFormat",
            "outputFormat": "org.apache.hadoop.mapred.FileOutputFormat",
        },
        "storageParameters": {},
        "serdeParameters": {},
        "externalLocation": place,
        "columnStatistics": {},
    }


def _replace(folder: Path, document: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _CHECKSUM_FILE).unlink(missing_ok=True)
    partial = folder / f"{_SCHEMA_FILE}.partial"
    partial.write_text(json.dumps(document, indent=1), encoding="utf-8")
    partial.replace(folder / _SCHEMA_FILE)
