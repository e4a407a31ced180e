"""Airflow assets of lake tables, updated at each proof of equality with the source."""

from __future__ import annotations

from typing import Any
from urllib.parse import SplitResult

from airflow_provider_datafingerprint.hooks.datafingerprint import DataFingerprintHook
from airflow_provider_datafingerprint.triggers.datafingerprint import POLL_S, VerdictTrigger

SCHEME = "datafingerprint"


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Checks `datafingerprint://host/schema.table`.

    Raises:
        ValueError: host or table are missing.
    """
    if not uri.netloc or "." not in uri.path.strip("/"):
        raise ValueError(f"an asset of DataFingerprint is {SCHEME}://host/schema.table, not {uri.geturl()}")
    return uri._replace(path=f"/{uri.path.strip('/')}")


def lake_table_asset(
    table: str,
    host: str,
    datafingerprint_conn_id: str = DataFingerprintHook.default_conn_name,
    poll_interval: float = POLL_S,
) -> Any:
    """The asset of a lake table, with a watcher that updates it. Airflow 3 only.

    Args:
        table: `schema.table`.
        host: A name for the installation of DataFingerprint; part of the asset's URI.
        datafingerprint_conn_id: The connection.
        poll_interval: Seconds between two looks; tables with the same one share them.
    """
    from airflow.sdk import Asset, AssetWatcher  # noqa: PLC0415 - not in Airflow 2

    trigger = VerdictTrigger(table, datafingerprint_conn_id, poll_interval)
    return Asset(
        name=f"{SCHEME} {table}",
        uri=f"{SCHEME}://{host}/{table}",
        watchers=[AssetWatcher(name=f"proof of {table}", trigger=trigger)],
    )
