"""Renders the answers of `/v1/status` and `/v1/fingerprints` for `datafingerprint status`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from api.freshness import duration

JSON = Mapping[str, Any]

_STYLES = {"match": "bold green", "mismatch": "bold red", "inconclusive": "bold yellow"}
_STATE_STYLES = {"starting": "default", "running": "green", "ended": "default", "unknown": "bold yellow"}
_NAMED_MAX = 5
_UNKNOWN = "-"
_WHOLE = "-"  # the name of the only partition of a table without partition fields


def status_text(status: JSON, fingerprints: JSON, *, partitions: bool = False) -> Group:
    """The system in a few lines, then the services and the captured tables.

    Args:
        status: The answer to `GET /v1/status`.
        fingerprints: The answer to `GET /v1/fingerprints`.
        partitions: Whether every partition has a line. If not, only those that do not match.

    Returns:
        What rich prints, as plain text where there are no colours.
    """
    services = [services_table(status["services"])] if status["services"] else []
    return Group(_summary(status), *services, _table(fingerprints, every=partitions))


def services_table(services: Sequence[JSON]) -> Table:
    """A line for each service: its state, since when, its last message and the remedy."""
    table = Table(box=None, pad_edge=False)
    table.add_column("service")
    table.add_column("state")
    table.add_column("since")
    table.add_column("what", overflow="fold")
    for service in services:
        message, remedy = service["message"] or "", service["remedy"]
        state = Text(service["state"], _STATE_STYLES.get(service["state"], _STYLES["mismatch"]))
        what = f"{message}: {remedy}" if remedy else message
        table.add_row(Text(service["service"]), state, _known(service["since"]), Text(what))
    table.add_section()
    return table


def _summary(status: JSON) -> Text:
    parts = status["partitions"]
    gtid = (status["position"] or {}).get("gtid")
    text = _verdict(status["verdict"])
    text.append(
        f"  {parts['match']} partitions match, {parts['mismatch']} mismatch, {parts['inconclusive']} inconclusive\n"
    )
    text.append_text(_without_partitions(status["without_partitions"]))
    text.append(
        f"lake at epoch {_known(status['epoch'])} of {_known(status['source_epoch'])}, {behind(status)}\n"
        f"compared as of {_known(status['as_of'])} at {_known(gtid)}\n"
    )
    if status["standstill"] is not None:
        text.append(f"{status['standstill']}\n", _STYLES["mismatch"])
    text.append_text(_audit(status["audit"]))
    for table, percent in status["snapshot"].items():
        text.append(f"snapshot of {table}: {percent} %\n")
    for table, reason in status.get("set_aside", {}).items():
        text.append(f"set aside: {table}: {reason}\n", _STYLES["inconclusive"])
    return text


def _without_partitions(tables: JSON) -> Text:
    """The tables without partitions that do not match, by name. Empty when there are none."""
    if not tables["count"]:
        return Text()
    first = tables["first"][:_NAMED_MAX]
    reasons = [f" ({table['reason']})" if table["reason"] else "" for table in first]
    names = ", ".join(f"{table['table']} {table['verdict']}{why}" for table, why in zip(first, reasons, strict=True))
    more = tables["count"] - len(first)
    noun = "table" if tables["count"] == 1 else "tables"
    return Text(f"{tables['count']} {noun} without partitions: {names}" + (f" and {more} more" if more else "") + "\n")


def behind(status: JSON) -> str:
    """How far the lake is behind the source, or that it is not known."""
    lag, age = status["lag"], status["source_age_s"]
    if lag["rows"] is not None and lag["seconds"] is None:
        return f"{lag['rows']} rows behind what was captured"
    if lag["rows"] is not None:
        return f"{lag['rows']} rows and {lag['seconds']} s behind"
    if age is None or status["standstill"] is not None:
        return "how far behind the source is not known"
    return f"how far behind the source is not known: the newest sums are {duration(age)} old"


def _audit(audit: JSON) -> Text:
    """The result of the last audits, or that there was none."""
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


def _add(table: Table, name: str, item: JSON) -> None:
    verdict = _verdict(item["verdict"])
    if item["reason"]:
        verdict.append(f" {item['reason']}", "default")
    source, lake = item["source"] or {}, item["lake"] or {}
    table.add_row(
        Text(name),
        _known(item["epoch"]),
        _known(source.get("rows")),
        _known(lake.get("rows")),
        _known(source.get("fingerprint")),
        _known(lake.get("fingerprint")),
        _verdict(item["audit"]["verdict"]) if item.get("audit") else Text(_UNKNOWN),
        verdict,
    )


def _verdict(outcome: str) -> Text:
    text = Text()
    text.append(outcome, _STYLES.get(outcome, "default"))
    return text


def _known(value: object) -> str:
    return _UNKNOWN if value is None or value == "" else str(value)
