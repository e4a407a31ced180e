"""Consumer groups: their names in Kafka, and the names that REST and metrics give them."""

from __future__ import annotations

LAKE_WRITER = "lake-writer"
FINGERPRINTER = "fingerprinter"
AUDITOR = "auditor"

LAKE_WRITER_GROUP = f"dfp-{LAKE_WRITER}"
FINGERPRINTER_GROUP = f"dfp-{FINGERPRINTER}"
SHOWN_GROUPS = {LAKE_WRITER_GROUP: LAKE_WRITER, FINGERPRINTER_GROUP: FINGERPRINTER}
"""Names in REST and metrics, and their roles. They are the same in every environment, so that alerts are too."""


def consumer_group(prefix: str, role: str) -> str:
    """The name in Kafka. Each environment has its own groups, as it has its own topics."""
    return f"{prefix}-{role}"
