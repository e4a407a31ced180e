"""Exports the lake to engines that cannot read its catalog: file lists, Presto's metastore."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datafingerprint.adapters.iceberg.connection import LakeConnection
from datafingerprint.adapters.iceberg.definition import identifier
from datafingerprint.adapters.iceberg.errors import translated
from datafingerprint.errors import ConfigError
from datafingerprint.ports.lake import LakeFile
from datafingerprint.schema import TableSchema

_SCHEMA_FILE = ".prestoSchema"
# Presto checks a file against the checksum file next to it, if there is one.
_CHECKSUM_FILE = f".{_SCHEMA_FILE}.crc"


def manifest(files: Sequence[LakeFile]) -> dict[str, Any]:
    """The list of live files in the format of Redshift Spectrum and COPY."""
    return {
        "entries": [
            {"url": file.path, "mandatory": True, "meta": {"content_length": file.size_bytes}}
            for file in sorted(files, key=lambda file: file.path)
        ]
    }


@dataclass(frozen=True, slots=True)
class ExportedTable:
    """An exported table, with the location of its metadata at that time."""

    table: str
    metadata_location: str


def write_metastore(connection: LakeConnection, tables: Sequence[TableSchema], folder: Path) -> list[ExportedTable]:
    """Write the current tables to Presto's file metastore. Tables not in the lake are left out.

    Each file is replaced as a whole, so a running Presto reads the old state or the new one.

    Raises:
        ConfigError: the folder cannot be written.
        Unavailable: the catalog or the store is away.
    """
    exported = []
    for table in tables:
        namespace, name = identifier(table)
        with translated(f"looking for {table.table}", where=connection.where):
            location = connection.metadata_location((namespace, name))
            if location is None:
                continue
            base = connection.catalog.load_table((namespace, name)).location()
        try:
            _write_schema_file(
                folder / namespace, {"ownerName": "datafingerprint", "ownerType": "USER", "parameters": {}}
            )
            _write_schema_file(folder / namespace / name, _document(location, base))
        except OSError as error:
            what = f"cannot write {folder} ({error.strerror})"
            raise ConfigError(what, remedy="name a folder that this user may write") from error
        exported.append(ExportedTable(table.table, location))
    return exported


def _document(metadata_location: str, base: str) -> dict[str, Any]:
    # Iceberg's metadata holds the columns, but the metastore requires at least one.
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
        "externalLocation": base,
        "columnStatistics": {},
    }


def _write_schema_file(folder: Path, document: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _CHECKSUM_FILE).unlink(missing_ok=True)
    partial = folder / f"{_SCHEMA_FILE}.partial"
    partial.write_text(json.dumps(document, indent=1), encoding="utf-8")
    partial.replace(folder / _SCHEMA_FILE)
