"""`datafingerprint incidents`: lists what is wrong, and what was."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import click

from datafingerprint.adapters.runtime import rest
from datafingerprint.adapters.runtime.settings import read_settings
from datafingerprint.errors import DataFingerprintError
from datafingerprint.exit_statuses import ExitStatus


@click.command(help="Lists open incidents. Exit status 0: there is none. 1: there are some. 2: no answer.")
@click.option("--all", "everything", is_flag=True, help="Closed incidents too, the newest 1,000.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer of /v1/incidents unchanged.")
@click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")
def main(config: str | None, *, everything: bool, as_json: bool) -> None:
    """Prints what the REST service answers."""
    state = "" if everything else "&state=open"
    try:
        answer = rest.get(read_settings(config).api, f"/v1/incidents?limit=1000{state}")
    except DataFingerprintError as error:
        click.echo(f"datafingerprint: {error}", err=True)
        sys.exit(ExitStatus.REFUSED)
    click.echo(json.dumps(answer, indent=2) if as_json else "\n".join(lines(answer)))
    is_any_open = any(incident["state"] == "open" for incident in answer["items"])
    sys.exit(ExitStatus.FAILED if is_any_open else ExitStatus.OK)


def lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """A line for each incident."""
    if not answer["items"]:
        yield "no incident"
    for incident in answer["items"]:
        yield "  ".join(part for part in _parts(incident) if part)


def _parts(incident: Mapping[str, Any]) -> Iterator[str]:
    yield f"{incident['id']}"
    yield incident["state"]
    yield f"{incident['subject']} {incident['name']}"
    yield incident["class"]
    if incident["partition_count"]:
        yield f"{incident['partition_count']} partition{'s' if incident['partition_count'] > 1 else ''}"
    yield f"since {incident['since']}"
    if incident["acknowledged_at"]:
        yield f"acknowledged {incident['note'] or ''}".strip()
    yield incident["reason"] or ""


if __name__ == "__main__":
    main()
