"""`python -m api`: serves REST, metrics and the dashboard."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable

import click
import structlog

from api.application import create_app
from api.guard import Hosts
from api.server import is_loopback, require_token, serve
from datafingerprint.adapters.engines.runner import ScanRunner
from datafingerprint.adapters.iceberg.connection import open_connection
from datafingerprint.adapters.iceberg.rows import LakeRowReader
from datafingerprint.adapters.kafka.lag import KafkaLagReader
from datafingerprint.adapters.kafka.request_log import KafkaRequestLog
from datafingerprint.adapters.kafka.services import KafkaServices
from datafingerprint.adapters.mysql.source_rows import SourceRowReader
from datafingerprint.adapters.runtime.process import run_service
from datafingerprint.adapters.state.incidents import SqlIncidentStore
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.adapters.state.tokens import SqlTokenStore
from datafingerprint.config import Settings
from datafingerprint.differences import PartitionDiff
from datafingerprint.errors import Unavailable
from datafingerprint.row_differ import RowDiffer

TURN_S = 5.0
"""Seconds that a request for differing rows waits for another one."""


def body(settings: Settings, log: structlog.stdlib.BoundLogger, stop: threading.Event) -> None:
    """One run. Uvicorn handles the signals and raises them again when it has ended."""
    with (
        contextlib.closing(SqlTokenStore(settings.state.database.get_secret_value())) as tokens,
        contextlib.closing(SqlStateStore(settings.state.database.get_secret_value())) as store,
        contextlib.closing(SqlIncidentStore(settings.state.database.get_secret_value())) as incidents,
        contextlib.closing(KafkaLagReader(settings.kafka)) as lag_reader,
        contextlib.closing(ScanRunner(settings, store, log)) as scans,
        contextlib.closing(KafkaServices(settings.kafka)) as services,
    ):
        is_open = not is_loopback(settings.api.host) and not settings.api.token.get_secret_value()
        require_token(settings.api, has_tokens=is_open and bool(tokens.tokens()))
        services.start()
        token = settings.api.token.get_secret_value()
        hosts = Hosts(settings.api.host, settings.api.allowed_hosts)
        app = create_app(
            store,
            lag_reader,
            token=token,
            is_reachable=not is_loopback(settings.api.host),
            hosts=hosts,
            scans=scans,
            incident_reader=incidents,
            services=services,
            resync_requests=KafkaRequestLog(settings.kafka),
            heartbeat_s=settings.cdc.heartbeat_s,
            metrics_tables_max=settings.api.metrics_tables_max,
            diff=row_differ(settings, store),
            tokens=tokens,
            actions=tokens,
        )
        serve(app, settings.api, log, stop.is_set)


def row_differ(settings: Settings, store: SqlStateStore) -> Callable[[str, str | None, int], list[PartitionDiff]]:
    """What names differing rows: one request at a time, which limits the load on both stores."""
    turn = threading.Lock()

    def diff(table: str, partition: str | None, limit: int) -> list[PartitionDiff]:
        if not turn.acquire(timeout=TURN_S):
            raise Unavailable("other differing rows are being read")
        try:
            with contextlib.closing(open_connection(settings, make_tables=False)) as lake:
                source = SourceRowReader(settings)
                differ = RowDiffer(store.reading, LakeRowReader(lake).find, source.find, settings.redacted)
                return differ.diff(table, partition, limit)
        finally:
            turn.release()

    return diff


@click.command(help="Serves REST, metrics and the dashboard from the state store, until it is stopped.")
@click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")
def main(config: str | None) -> None:
    """Runs the service and exits with its status."""
    sys.exit(run_service("api", body, config))


if __name__ == "__main__":
    main()
