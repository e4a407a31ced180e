"""Alerts as text and as JSON: what a message says about the incidents in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from datafingerprint.incidents import NoticeKind
from datafingerprint.ports.incidents import Notice

PAYLOAD_VERSION = 1

NOTICES_SHOWN = 20
"""Most incidents that the text of a message names."""

PARTITIONS_SHOWN = 5
"""Most partitions of an incident that a text names."""

REASON_CHARACTERS_MAX = 300

BACKOFF_S = (2.0, 5.0, 15.0, 30.0, 60.0)
"""Seconds until a message is sent again, after the first, second, … failure. The last one from then on."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a message says.

    Attributes:
        id: The same in every attempt.
        title: One line.
        body: Plain text.
        payload: The same for machines. docs/alerts.schema.json describes it.
        is_good: Whether it brings good news only.
    """

    id: str
    title: str
    body: str
    payload: Mapping[str, Any]
    is_good: bool


def content(message: str, notices: Sequence[Notice], public_url: str) -> Content:
    """Renders one message.

    Args:
        message: Its id.
        notices: What it says, in their order.
        public_url: The REST service as readers reach it.
    """
    shown = notices[:NOTICES_SHOWN]
    parts = [_text(notice, public_url) for notice in shown]
    if len(notices) > len(shown):
        parts.append(f"and {len(notices) - len(shown)} more: {public_url}/v1/incidents")
    return Content(
        id=message,
        title=" ".join(f"DataFingerprint: {_title(notices)}".split()),
        body="\n\n".join(parts),
        payload={
            "version": PAYLOAD_VERSION,
            "id": message,
            "notices": [_payload(notice, public_url) for notice in notices],
        },
        is_good=all(notice.kind in (NoticeKind.RECOVERED, NoticeKind.TEST) for notice in notices),
    )


def backoff_s(attempts: int) -> float:
    """Seconds until the next attempt, after so many that failed."""
    return BACKOFF_S[min(max(attempts, 1), len(BACKOFF_S)) - 1]


def link(incident: Mapping[str, Any], public_url: str) -> str:
    """The address of an incident."""
    return f"{public_url}/incidents/{incident['id']}"


def _title(notices: Sequence[Notice]) -> str:
    first = notices[0]
    line = "test" if first.kind is NoticeKind.TEST else _headline(first)
    return line if len(notices) == 1 else f"{line}, and {len(notices) - 1} more"


def _headline(notice: Notice) -> str:
    incident = notice.incident
    return f"{notice.kind.value}: {incident['subject']} {incident['name']}, {incident['class']}"


def _text(notice: Notice, public_url: str) -> str:
    if notice.kind is NoticeKind.TEST:
        return "This is a test. Alerts reach this receiver."
    incident = notice.incident
    lines = [_headline(notice)]
    facts = [f"at hop {incident['hop']}" if incident["hop"] else "", _rows(incident["rows"])]
    if any(facts):
        lines.append(", ".join(fact for fact in facts if fact))
    if incident["partition_count"]:
        lines.append(f"partitions ({incident['partition_count']}): {_partitions(incident)}")
    if incident["reason"] and notice.kind is not NoticeKind.RECOVERED:
        lines.append(incident["reason"][:REASON_CHARACTERS_MAX])
    lines.append(f"since {_moment(incident['since'])}")
    lines.append(link(incident, public_url))
    return "\n".join(lines)


def _rows(rows: int | None) -> str:
    if rows is None:
        return ""
    return f"the sides differ by {rows} {'row' if rows == 1 else 'rows'}"


def _partitions(incident: Mapping[str, Any]) -> str:
    names = list(dict.fromkeys(part["partition"] or "the whole table" for part in incident["partitions"]))
    shown = names[:PARTITIONS_SHOWN]
    more = incident["partition_count"] - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _payload(notice: Notice, public_url: str) -> dict[str, Any]:
    at = _moment(notice.at)
    if notice.kind is NoticeKind.TEST:
        return {"kind": notice.kind.value, "at": at, "incident": None}
    incident = dict(notice.incident)
    for name in ("since", "opened_at", "closed_at"):
        incident[name] = None if incident[name] is None else _moment(incident[name])
    incident["partitions"] = [{**part, "since": _moment(part["since"])} for part in incident["partitions"]]
    return {"kind": notice.kind.value, "at": at, "incident": {**incident, "url": link(incident, public_url)}}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(round(seconds, 3), UTC).isoformat().replace("+00:00", "Z")
