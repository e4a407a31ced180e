"""What alerts say, as text and as the documented JSON."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema_rs
import pytest

from datafingerprint.alerts import NOTICES_SHOWN, backoff_s, content
from datafingerprint.incidents import (
    IncidentClass,
    NoticeKind,
    PartitionTrouble,
    Rules,
    decide,
    document,
    table_troubles,
)
from datafingerprint.ports.incidents import Notice

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "alerts.schema.json").read_text(encoding="utf-8"))
URL = "https://dfp.example"


def notices(kind: NoticeKind = NoticeKind.OPENED, count: int = 1) -> list[Notice]:
    parts = [PartitionTrouble(f"p={n}", IncidentClass.ROWS_MISSING, "1 row too few", 1, 5.0) for n in range(200)]
    (trouble,) = table_troubles({"s.t": parts}, []).values()
    incident = decide(None, trouble, Rules(), 10.0).incident
    assert incident is not None
    return [Notice(n, 11.0, kind, document(incident) | {"id": n}) for n in range(1, count + 1)]


def test_a_message_names_table_class_hop_rows_first_partitions_and_the_link() -> None:
    said = content("m", notices(), URL)
    assert said.title == "DataFingerprint: opened: table s.t, rows_missing"
    assert said.body == (
        "opened: table s.t, rows_missing\n"
        "at hop lake, the sides differ by 200 rows\n"
        "partitions (200): p=0, p=1, p=10, p=100, p=101 and 195 more\n"
        "1 row too few\n"
        "since 1970-01-01T00:00:05Z\n"
        "https://dfp.example/incidents/1"
    )


def test_a_message_of_many_incidents_names_some_and_counts_the_others() -> None:
    said = content("m", notices(count=NOTICES_SHOWN + 5), URL)
    assert said.title.endswith(f", and {NOTICES_SHOWN + 4} more")
    assert said.body.count("/incidents/") == NOTICES_SHOWN
    assert said.body.endswith("and 5 more: https://dfp.example/v1/incidents")
    assert len(said.payload["notices"]) == NOTICES_SHOWN + 5


@pytest.mark.parametrize("kind", list(NoticeKind))
def test_the_payload_is_as_its_schema_says(kind: NoticeKind) -> None:
    given = [Notice(1, 2.0, kind, {})] if kind is NoticeKind.TEST else notices(kind)
    said = content("m", given, URL)
    validator = jsonschema_rs.validator_for(SCHEMA)
    validator.validate(json.loads(json.dumps(said.payload)))
    assert not validator.is_valid({**said.payload, "id": 7})
    assert said.is_good is (kind in (NoticeKind.TEST, NoticeKind.RECOVERED))


def test_pauses_between_attempts_grow_to_a_minute() -> None:
    pauses = [backoff_s(attempts) for attempts in range(1, 100)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (2.0, 60.0)
