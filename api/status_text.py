"""Shows the answers of `/v1/status` and `/v1/fingerprints` on a terminal, for `datafingerprint status`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from api.freshness import duration

JSON = Mapping[str, Any]

_STYLES = {"match": "bold green", "mismatch": "bold red", "inconclusive": "bold yellow"}
_UNKNOWN = "-"
_WHOLE = "-"  # the one partition of a table without any


def status_text(status: JSON, fingerprints: JSON, *, partitions: bool = False) -> Group:
    """What rich prints: the system in a few lines, then a table of tables; plain text where there are no colours.

    Args:
        status: The answer to `GET /v1/status`.
        fingerprints: The answer to `GET /v1/fingerprints`.
        partitions: Whether every partition has a line, or those only that do not match.
    """
    return Group(_summary(status), _table(fingerprints, every=partitions))


def _summary(status: JSON) -> Text:
    parts = status["partitions"]
    gtid = (status["position"] or {}).get("gtid")
    text = _verdict(status["verdict"])
    text.append(
        f"  {parts['match']} partitions match, {parts['mismatch']} mismatch, {parts['inconclusive']} inconclusive\n"
        f"lake at epoch {_known(status['epoch'])} of {_known(status['source_epoch'])}, {behind(status)}\n"
        f"compared as of {_known(status['as_of'])} at {_known(gtid)}\n"
    )
    if status["standstill"] is not None:
        text.append(f"{status['standstill']}\n", _STYLES["mismatch"])
    text.append_text(_audit(status["audit"]))
    for table, percent in status["snapshot"].items():
        text.append(f"first reading of {table}: {percent} %\n")
    return text


def behind(status: JSON) -> str:
    """How far the lake is behind the source, or that nobody knows."""
    lag, age = status["lag"], status["source_age_s"]
    if lag["rows"] is not None:
        return f"{lag['rows']} rows and {lag['seconds']} s behind"
    if age is None or status["standstill"] is not None:
        return "how far behind the source is not known"
    return f"how far behind the source is not known: what is summed up of it is {duration(age)} old"


def _audit(audit: JSON) -> Text:
    """What the last audits found, or that there was none."""
    if audit["oldest"] is None and not audit["inconclusive"]:
        return Text("not audited yet\n")
    text = Text("last audits: ")
    text.append(f"{audit['match']} partitions agree with the source, ")
    text.append(f"{audit['mismatch']} do not", _STYLES["mismatch"] if audit["mismatch"] else "")
    text.append(f", {audit['inconclusive']} inconclusive; oldest {_known(audit['oldest'])}\n")
    return text


def _table(fingerprints: JSON, *, every: bool) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("table", overflow="fold")
    table.add_column("epoch", justify="right")
    table.add_column("source rows", justify="right")
    table.add_column("lake rows", justify="right")
    table.add_column("source fingerprint", overflow="fold")
    table.add_column("lake fingerprint", overflow="fold")
    table.add_column("audit")
    table.add_column("verdict", overflow="fold")
    for item in fingerprints["items"]:
        _add(table, item["table"], item)
        for part in item["partitions"]:
            if part["partition"] != _WHOLE and (every or part["verdict"] != "match"):
                _add(table, f"  {part['partition']}", part)
    return table


def _add(table: Table, name: str, one: JSON) -> None:
    verdict = _verdict(one["verdict"])
    if one["reason"]:
        verdict.append(f" {one['reason']}", "default")
    source, lake = one["source"] or {}, one["lake"] or {}
    table.add_row(
        Text(name),
        _known(one["epoch"]),
        _known(source.get("rows")),
        _known(lake.get("rows")),
        _known(source.get("fingerprint")),
        _known(lake.get("fingerprint")),
        _verdict(one["audit"]["verdict"]) if one.get("audit") else Text(_UNKNOWN),
        verdict,
    )


def _verdict(outcome: str) -> Text:
    text = Text()
    text.append(outcome, _STYLES.get(outcome, "default"))
    return text


def _known(value: object) -> str:
    return _UNKNOWN if value is None else str(value)
