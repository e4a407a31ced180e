"""`datafingerprint audit`: holds the stream's sums against the source's own."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from datafingerprint.adapters.audit_source import AuditSource
from datafingerprint.adapters.kafka_epoch_reader import KafkaEpochReader
from datafingerprint.adapters.logging import configure_logging
from datafingerprint.adapters.settings import read_settings
from datafingerprint.adapters.state import SqlStateStore
from datafingerprint.audit import Finding, overall
from datafingerprint.config import Settings
from datafingerprint.errors import DataFingerprintError
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.verdict import Outcome
from services.auditor.auditor import Auditor

GROUP = "dfp-auditor"
STATUS = {Outcome.MATCH: 0, Outcome.MISMATCH: 1, Outcome.INCONCLUSIVE: 2}
STATUS_REFUSED = 2
PIPE_WIDTH = 160


@click.command(help="Asks the source itself for its sums, and compares them with the stream's at the same position.")
@click.argument("table", required=False)
@click.option("--partition", metavar="NAME", help="Only this partition of the table, such as date_year=2031.")
@click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def main(table: str | None, partition: str | None, config: str | None, *, as_json: bool) -> None:
    """Exit status 0 when all three sums agree, 1 when they do not, 2 when that cannot be told."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        findings = run(read_settings(config), table, partition, stop)
    except DataFingerprintError as error:
        click.echo(f"datafingerprint: {error}", err=True)
        sys.exit(STATUS_REFUSED)
    if as_json:
        click.echo(json.dumps([document(one) for one in findings], indent=2))
    else:
        console = Console()
        Console(width=console.width if console.is_terminal else PIPE_WIDTH).print(shown(findings))
    sys.exit(STATUS[overall(findings)])


def run(settings: Settings, table: str | None, partition: str | None, stop: threading.Event) -> list[Finding]:
    """Audits one table, or all of them one after another; ends early when it is told to stop."""
    log = configure_logging(settings.log, "audit")
    with (
        contextlib.closing(SqlStateStore(settings.state.url.get_secret_value())) as store,
        contextlib.closing(KafkaEpochReader(settings.kafka, GROUP)) as reader,
    ):
        auditor = Auditor(AuditSource(settings), store, reader, settings.audit, log)
        findings: list[Finding] = []
        for one in auditor.chosen(table, partition):
            if stop.is_set():
                break
            findings += auditor.audit(one, partition, stop)
        return findings


def shown(findings: list[Finding]) -> Table:
    """One row for every partition."""
    drawn = Table("table", "partition", "verdict", "hop", "source", "stream", "reason", box=None, pad_edge=False)
    for one in findings:
        drawn.add_row(
            one.table,
            one.partition or "",
            one.outcome.value,
            ", ".join(one.hops),
            _rows(one.source),
            _rows(one.stream),
            one.reason,
        )
    return drawn


def _rows(part: Fingerprint | None) -> str:
    return f"{part.rows} rows {part.value}" if part else ""


def document(finding: Finding) -> dict[str, Any]:
    """A finding as JSON has it."""
    return {
        "table": finding.table,
        "partition": finding.partition,
        "verdict": finding.outcome.value,
        "hops": [hop.value for hop in finding.hops],
        "reason": finding.reason or None,
        "source": _sum(finding.source),
        "stream": _sum(finding.stream),
        "epoch": finding.at.epoch if finding.at else None,
        "gtid": finding.at.position.gtid if finding.at else None,
    }


def _sum(part: Fingerprint | None) -> dict[str, Any] | None:
    return {"rows": part.rows, "fingerprint": part.value, "digest": part.digest} if part else None


if __name__ == "__main__":
    main()
