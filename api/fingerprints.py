"""Builds the answers about fingerprints from the stored state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from api.answers import known_tables, moment, position, side
from api.audits import audit_finding, table_audit
from api.models import FingerprintsAnswer, PartitionAnswer, PartitionFingerprint, TableFingerprint
from api.ports import StateView
from datafingerprint.audits import LastFinding
from datafingerprint.fingerprint import ZERO, Fingerprint, total
from datafingerprint.ledger import StoredEpoch, StoredVerdict
from datafingerprint.verdict import Outcome, overall

NOT_JUDGED = "not compared yet: the lake has not reached an epoch with this table"


def fingerprints(view: StateView) -> FingerprintsAnswer:
    """Every table under watch, and every other one that was ever judged."""
    items = table_fingerprints(view)
    return FingerprintsAnswer(
        verdict=overall({Outcome(item.verdict) for item in items}).value,
        epoch=view.progress().lake_epoch or None,
        items=items,
    )


def table_fingerprints(view: StateView, only: str | None = None) -> list[TableFingerprint]:
    """The tables in the order of their names, or just one of them."""
    by_table: dict[str, list[StoredVerdict]] = {}
    for one in view.verdicts(only):
        by_table.setdefault(one.table, []).append(one)
    audited: dict[str, list[LastFinding]] = {}
    for last in view.last_findings(only):
        audited.setdefault(last.finding.table, []).append(last)
    names = known_tables(view) if only is None else [only]
    judged = view.judged_tables()
    at = {number: view.epoch(number) for number in {judged[name].epoch for name in names if name in judged}}
    found = [
        _judged(view, name, by_table.get(name, []), judged[name].epoch, at[judged[name].epoch])
        if name in judged
        else _answer(name, None, None, (Outcome.INCONCLUSIVE, NOT_JUDGED), (None, None), [])
        for name in names
    ]
    return [_with_audit(one, audited.get(one.table, [])) for one in found]


def _with_audit(table: TableFingerprint, audited: Sequence[LastFinding]) -> TableFingerprint:
    """Adds what audits found last, of the table and of each of its partitions."""
    of = {one.finding.partition: audit_finding(one) for one in audited}
    parts = [part.model_copy(update={"audit": of.get(part.partition)}) for part in table.partitions]
    return table.model_copy(update={"audit": table_audit(audited), "partitions": parts})


def partition_answer(table: TableFingerprint, partition: str) -> PartitionAnswer | None:
    """One partition of a table; None when it has none of that name."""
    found = next((part for part in table.partitions if part.partition == partition), None)
    if found is None:
        return None
    return PartitionAnswer(**dict(found), table=table.table, as_of=table.as_of, position=table.position)


def _judged(
    view: StateView, name: str, parts: Sequence[StoredVerdict], epoch: int, at: StoredEpoch | None
) -> TableFingerprint:
    if not parts:
        why = _doubt_of_emptiness(view, name, epoch, at)
        found, sums = ((Outcome.INCONCLUSIVE, why), (None, None)) if why else ((Outcome.MATCH, ""), (ZERO, ZERO))
        return _answer(name, epoch, at, found, sums, [])
    sides = _sum(one.verdict.source for one in parts), _sum(one.verdict.lake for one in parts)
    return _answer(name, epoch, at, _worst(parts), sides, [_partition(one) for one in parts])


def _answer(
    name: str,
    epoch: int | None,
    at: StoredEpoch | None,
    verdict: tuple[Outcome, str],
    sides: tuple[Fingerprint | None, Fingerprint | None],
    parts: list[PartitionFingerprint],
) -> TableFingerprint:
    outcome, reason = verdict
    return TableFingerprint(
        table=name,
        epoch=epoch,
        as_of=moment(at.epoch.committed_at) if at else None,
        position=position(at.epoch.position) if at else None,
        verdict=outcome.value,
        reason=reason or None,
        source=side(sides[0]),
        lake=side(sides[1]),
        partitions=parts,
    )


def _doubt_of_emptiness(view: StateView, name: str, epoch: int, at: StoredEpoch | None) -> str:
    """Why a judged table without a partition cannot be called empty on both sides; empty when it can."""
    cursor = at.epoch.snapshots.get(name) if at else None
    lake = view.lake_tables().get(name)
    if at is None:
        return f"epoch {epoch}, at which it was compared, is no longer stored"
    if cursor is not None and not cursor.complete:
        return f"snapshot at {cursor.percent} %"
    if lake is not None and lake.unreadable:
        return lake.unreadable
    if _sum(view.source_sums(name, epoch).values()) != ZERO:
        return f"the source has rows at epoch {epoch} that were not compared"
    if _sum(view.lake_sums(name).values()) != ZERO:
        return "the lake has rows that were not compared"
    return ""


def _partition(one: StoredVerdict) -> PartitionFingerprint:
    return PartitionFingerprint(
        partition=one.partition,
        verdict=one.verdict.outcome.value,
        reason=one.verdict.reason or None,
        epoch=one.epoch,
        since=moment(one.since),
        source=side(one.verdict.source),
        lake=side(one.verdict.lake),
    )


def _sum(parts: Iterable[Fingerprint | None]) -> Fingerprint | None:
    """The fingerprint of all parts together; unknown as soon as one of them is."""
    known = list(parts)
    return total(part for part in known if part is not None) if None not in known else None


def _worst(parts: Sequence[StoredVerdict]) -> tuple[Outcome, str]:
    """The table's outcome, and why: the reason of its only such partition, or their number and the first of them."""
    worst = overall({one.verdict.outcome for one in parts})
    such = [one for one in parts if one.verdict.outcome is worst]
    if worst is Outcome.MATCH:
        return worst, ""
    reasons = {one.verdict.reason for one in such}
    if len(parts) == 1 or (len(reasons) == 1 and worst is Outcome.INCONCLUSIVE):
        return worst, such[0].verdict.reason
    what = "differ" if worst is Outcome.MISMATCH else "cannot be told"
    if len(such) == 1:
        what = what.replace("differ", "differs")
    return worst, f"{len(such)} of {len(parts)} partitions {what}; {such[0].partition}: {such[0].verdict.reason}"


def counts(parts: Iterable[StoredVerdict]) -> Mapping[Outcome, int]:
    """How many partitions have each outcome, all three named."""
    found = dict.fromkeys(Outcome, 0)
    for one in parts:
        found[one.verdict.outcome] += 1
    return found
