"""The console script `datafingerprint`: every service as a command, and what the system knows now."""

from __future__ import annotations

import json
import sys

import click
from rich.console import Console

from api.__main__ import main as serve
from api.status_text import status_text
from datafingerprint.adapters import rest
from datafingerprint.adapters.settings import read_settings
from datafingerprint.errors import DataFingerprintError
from services.auditor.__main__ import main as audit
from services.cdc.__main__ import main as capture
from services.doctor.__main__ import main as doctor
from services.exports.__main__ import export_catalog, export_manifest
from services.fingerprinter.__main__ import main as fingerprint
from services.generator.__main__ import main as generate
from services.lake_writer.__main__ import main as write_lake
from services.resync.__main__ import main as resync
from services.scanner.__main__ import main as scan
from services.statements.__main__ import main as print_statement
from services.tail.__main__ import main as tail

STATUS_NOT_MATCHING = 1
STATUS_UNKNOWN = 2
PIPE_WIDTH = 160


@click.group(help="Proves that an S3 data lake holds exactly what a live MySQL warehouse holds.")
def main() -> None:
    """The group of all commands."""


@main.command(help="Shows verdicts and lag; exit status 0 when all matches, 1 when not, 2 when nobody answers.")
@click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer of /v1/status as it is.")
def status(config: str | None, *, as_json: bool) -> None:
    """Asks the REST service and prints its answer."""
    try:
        settings = read_settings(config)
        found = rest.get(settings.api, "/v1/status")
        tables = rest.get(settings.api, "/v1/fingerprints")
    except DataFingerprintError as error:
        click.echo(f"datafingerprint: {error}", err=True)
        sys.exit(STATUS_UNKNOWN)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        console = Console()
        # A pipe has no width; a table that is wrapped in it could not be searched.
        Console(width=console.width if console.is_terminal else PIPE_WIDTH).print(status_text(found, tables))
    sys.exit(0 if found["verdict"] == "match" else STATUS_NOT_MATCHING)


main.add_command(audit, "audit")
main.add_command(doctor, "doctor")
main.add_command(resync, "resync")
main.add_command(print_statement, "sql")
main.add_command(tail, "tail")
main.add_command(scan, "scan")
main.add_command(export_manifest, "export-manifest")
main.add_command(export_catalog, "export-catalog")
main.add_command(generate, "generate")
main.add_command(capture, "capture")
main.add_command(write_lake, "write-lake")
main.add_command(fingerprint, "fingerprint")
main.add_command(serve, "serve")

if __name__ == "__main__":
    main()
