"""Meaning of the REST service's answers. An unknown word never counts as equal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_datafingerprint.calls import JobKind
from airflow_provider_datafingerprint.errors import (
    DataFingerprintMisused,
    InconclusiveError,
    JobFailedError,
    MismatchError,
    UnknownAnswerError,
)

MATCH, MISMATCH, INCONCLUSIVE = "match", "mismatch", "inconclusive"
VERDICTS = frozenset({MATCH, MISMATCH, INCONCLUSIVE})
DIFFERING_MAX = 100
"""Partitions that a result names."""

Answer = Mapping[str, Any]


@dataclass(frozen=True)
class Difference:
    """A partition that is not known to be equal."""

    table: str
    partition: str | None
    verdict: str
    reason: str

    def __str__(self) -> str:
        where = f"{self.table} {self.partition}" if self.partition not in (None, "-") else self.table
        return f"{where}: {self.verdict}{': ' if self.reason else ''}{self.reason}"


def is_active(kind: JobKind, answer: Answer) -> bool:
    """Whether a job goes on.

    Raises:
        JobFailedError: it failed or was cancelled.
        UnknownAnswerError: its state is not known here.
    """
    state = answer.get("state")
    if state in kind.active:
        return True
    if state == "done":
        return False
    if state in kind.failed:
        raise JobFailedError(f"{named(kind, answer)} {state}: {answer.get('reason') or answer.get('error') or '-'}")
    raise UnknownAnswerError(f"{named(kind, answer)} has the unknown state {state!r}; update the provider")


def named(kind: JobKind, answer: Answer) -> str:
    """A job as messages name it."""
    scope = " ".join(str(answer[key]) for key in ("table", "partition") if answer.get(key)) or "every table"
    return f"{kind.name} {answer.get('id')} of {scope}"


def verdict_of(answer: Answer) -> str:
    """The verdict of an answer.

    Raises:
        UnknownAnswerError: there is none, or it is not known here.
    """
    verdict = answer.get("verdict")
    if verdict not in VERDICTS:
        raise UnknownAnswerError(f"the verdict {verdict!r} is not known; update the provider")
    return str(verdict)


def result(kind: JobKind, answer: Answer) -> dict[str, Any]:
    """What a job that is done found, as a small document for XCom."""
    parts = list(answer.get(kind.parts, [])) if kind.parts else []
    differing = differences(parts, str(answer.get("table")))
    verdict = INCONCLUSIVE if answer.get("verdict") is None else verdict_of(answer)
    if verdict == MATCH and differing:
        raise UnknownAnswerError(f"{named(kind, answer)} says match, and names {differing[0]}")
    return {
        "kind": kind.name,
        "id": answer["id"],
        "table": answer.get("table"),
        "partition": answer.get("partition"),
        "verdict": verdict,
        "reason": answer.get("reason"),
        "epoch": answer.get("epoch"),
        "partitions": len(parts),
        "differing": [asdict(difference) for difference in differing[:DIFFERING_MAX]],
        "differing_count": len(differing),
    }


def differences(parts: Sequence[Answer], table: str) -> list[Difference]:
    """The partitions that are not known to be equal; differing ones first.

    Raises:
        UnknownAnswerError: one has a verdict that is not known here.
    """
    listed = [
        Difference(str(part.get("table") or table), part.get("partition"), verdict_of(part), part.get("reason") or "")
        for part in parts
    ]
    unequal = [difference for difference in listed if difference.verdict != MATCH]
    return sorted(unequal, key=lambda difference: difference.verdict != MISMATCH)


def require_match(outcome: Answer, link: str) -> None:
    """Demands the verdict `match` of a result.

    Raises:
        MismatchError: the sides differ.
        InconclusiveError: it cannot be decided.
    """
    verdict = verdict_of(outcome)
    if verdict == MATCH:
        return
    lines = [str(Difference(**difference)) for difference in outcome["differing"]]
    more = outcome["differing_count"] - len(lines)
    lines += [f"and {more} more"] if more else []
    about = outcome["table"] or "all tables"
    text = f"{outcome['kind']} {outcome['id']} of {about}: {verdict}{_because(outcome)}. " + "; ".join(lines)
    error = MismatchError if verdict == MISMATCH else InconclusiveError
    raise error(f"{text.rstrip('. ')}. See {link}")


def _because(outcome: Answer) -> str:
    return f" ({outcome['reason']})" if outcome.get("reason") else ""


@dataclass(frozen=True)
class Proof:
    """A table or partition that was proven equal.

    Attributes:
        table: `schema.table`.
        partition: The only partition that was asked about; None for all.
        epoch: The epoch of the comparison.
        as_of: Commit time of the last source transaction that was compared.
        gtid: The source's position then.
        rows: Rows on either side.
        digest: The sum of either side.
    """

    table: str
    partition: str | None
    epoch: int
    as_of: str
    gtid: str
    rows: int
    digest: str


@dataclass(frozen=True)
class Waiting:
    """Why it is not proven yet."""

    reason: str


def judge(answer: Answer, partition: str | None, moment: datetime, margin: timedelta) -> Proof | Waiting:
    """Whether a table is proven equal at a position of the source that is not before a moment.

    Args:
        answer: The table's fingerprint.
        partition: The only partition that matters; None for all.
        moment: What the source committed before it must be in the comparison.
        margin: Added to the moment: binlogs give commit times in whole seconds, and clocks differ.

    Raises:
        MismatchError: both sides were compared and differ, at any position.
        DataFingerprintMisused: there is no such partition at a position that is late enough.
        UnknownAnswerError: a verdict is not known here.
    """
    part = _part(answer, partition)
    if part is not None and verdict_of(part) == MISMATCH:
        raise MismatchError(_difference(answer, part, partition))
    reached = moment_of(answer["as_of"]) if answer.get("as_of") else None
    if reached is None or reached < moment + margin:
        shown = reached.isoformat() if reached else "nothing yet"
        return Waiting(f"the lake was compared as of {shown}, wanted is {(moment + margin).isoformat()}")
    if part is None:
        raise DataFingerprintMisused(
            f"{answer['table']} has no partition {partition} as of {answer['as_of']}: neither side has rows in it"
        )
    if verdict_of(part) == INCONCLUSIVE:
        return Waiting(str(part.get("reason") or "inconclusive"))
    return _proof(answer, part, partition)


def _part(answer: Answer, partition: str | None) -> Answer | None:
    if partition is None:
        return answer
    return next((part for part in answer["partitions"] if part["partition"] == partition), None)


def _difference(answer: Answer, part: Answer, partition: str | None) -> str:
    if partition is not None:
        return str(Difference(answer["table"], partition, MISMATCH, part.get("reason") or ""))
    named_parts = [str(difference) for difference in differences(answer["partitions"], answer["table"])]
    text = "; ".join(named_parts[:DIFFERING_MAX]) or f"{answer['table']}: {part.get('reason') or MISMATCH}"
    more = len(named_parts) - DIFFERING_MAX
    return f"{text}; and {more} more" if more > 0 else text


def _proof(answer: Answer, part: Answer, partition: str | None) -> Proof:
    source, lake = part.get("source"), part.get("lake")
    if source is None or source != lake or answer.get("epoch") is None or answer.get("position") is None:
        raise UnknownAnswerError(f"{answer['table']} is called a match, but its sides are {source} and {lake}")
    return Proof(
        table=answer["table"],
        partition=partition,
        epoch=int(answer["epoch"]),
        as_of=str(answer["as_of"]),
        gtid=str(answer["position"]["gtid"]),
        rows=int(source["rows"]),
        digest=str(source["digest"]),
    )


def proof_of(answer: Answer) -> Proof | None:
    """The proof that a table's fingerprint holds now, at its position; None when it is no match."""
    if verdict_of(answer) != MATCH:
        return None
    return _proof(answer, answer, None)


def moment_of(text: str | datetime) -> datetime:
    """A moment from text; one without a zone is in UTC.

    Raises:
        DataFingerprintMisused: it is no moment.
    """
    if isinstance(text, datetime):
        moment = text
    else:
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError as error:
            raise DataFingerprintMisused(f"as_of is no moment such as 2031-04-02T19:00:00Z: {text!r}") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
