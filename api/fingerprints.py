"""Builds the answers about fingerprints from the stored state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from api.answers import known_tables, moment, position, side, without_rows
from api.audits import audit_finding, table_audit
from api.models import (
    HistoryAnswer,
    HistoryItem,
    PartitionAnswer,
    PartitionFingerprint,
    TableFingerprint,
)
from api.ports import StateView
from datafingerprint.audits import LastFinding
from datafingerprint.fingerprint import ZERO, Fingerprint, total
from datafingerprint.history import HistoryPoint
from datafingerprint.ledger import LakeTableState, StoredEpoch, StoredVerdict, TableSums
from datafingerprint.ports.state_values import JudgedTable
from datafingerprint.verdict import Outcome, overall

NOT_JUDGED = "not compared yet: the lake has not reached an epoch with this table"


def table_fingerprints(view: StateView, only: str | Sequence[str] | None = None) -> list[TableFingerprint]:
    """All tables in the order of their names, or only some of them, in the given order."""
    by_table: dict[str, list[StoredVerdict]] = {}
    for verdict in view.verdicts(only):
        by_table.setdefault(verdict.table, []).append(verdict)
    audited: dict[str, list[LastFinding]] = {}
    for last in view.last_findings(only):
        audited.setdefault(last.finding.table, []).append(last)
    names = known_tables(view) if only is None else [only] if isinstance(only, str) else only
    judged, unread = view.judged_tables(only if isinstance(only, str) else None), without_rows(view)
    epochs = {number: view.epoch(number) for number in {judged[name].epoch for name in names if name in judged}}
    empty = {name: judged[name] for name in names if name in judged and name not in by_table}
    doubts = doubts_of_emptiness(view, empty)
    items = [
        _judged_table(
            name, by_table.get(name, []), judged[name].epoch, epochs[judged[name].epoch], doubts.get(name, "")
        )
        if name in judged
        else _answer(name, None, None, (Outcome.INCONCLUSIVE, unread.get(name, NOT_JUDGED)), (None, None), [])
        for name in names
    ]
    return [_with_audit(item, audited.get(item.table, [])) for item in items]


def _with_audit(table: TableFingerprint, audited: Sequence[LastFinding]) -> TableFingerprint:
    """Adds the last audit findings of the table and of each of its partitions."""
    findings = {last.finding.partition: audit_finding(last) for last in audited}
    parts = [part.model_copy(update={"audit": findings.get(part.partition)}) for part in table.partitions]
    return table.model_copy(update={"audit": table_audit(audited), "partitions": parts})


def partition_answer(view: StateView, table: str, partition: str) -> PartitionAnswer | None:
    """One partition of a table, read without the others. None when there is no such partition."""
    verdicts = view.verdicts(table, partition)
    if not verdicts:
        return None
    at = view.epoch(verdicts[0].epoch)
    audited = view.last_findings(table, partition)
    part = _partition(verdicts[0]).model_copy(update={"audit": audit_finding(audited[0]) if audited else None})
    return PartitionAnswer(
        **dict(part),
        table=table,
        as_of=moment(at.epoch.committed_at) if at else None,
        position=position(at.epoch.position) if at else None,
    )


def _judged_table(
    name: str, parts: Sequence[StoredVerdict], epoch: int, at: StoredEpoch | None, doubt: str
) -> TableFingerprint:
    if not parts:
        if doubt:
            return _answer(name, epoch, at, (Outcome.INCONCLUSIVE, doubt), (None, None), [])
        return _answer(name, epoch, at, (Outcome.MATCH, ""), (ZERO, ZERO), [])
    sides = _sum(part.verdict.source for part in parts), _sum(part.verdict.lake for part in parts)
    return _answer(name, epoch, at, worst_verdict(parts), sides, [_partition(part) for part in parts])


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


def doubts_of_emptiness(view: StateView, judged: Mapping[str, JudgedTable]) -> dict[str, str]:
    """Why judged tables without partitions may not be empty on both sides. Others are left out.

    Many tables are read in one query.
    """
    if not judged:
        return {}
    lake = view.lake_tables()
    by_epoch: dict[int, list[str]] = {}
    for name, table in judged.items():
        by_epoch.setdefault(table.epoch, []).append(name)
    doubts: dict[str, str] = {}
    for number, names in by_epoch.items():
        at = view.epoch(number)
        sums = view.table_sums(names, number)
        doubts |= {name: _doubt_of_emptiness(name, number, at, lake.get(name), sums[name]) for name in names}
    return {name: doubt for name, doubt in doubts.items() if doubt}


def _doubt_of_emptiness(
    name: str, epoch: int, at: StoredEpoch | None, lake: LakeTableState | None, sums: TableSums
) -> str:
    if at is None:
        return f"epoch {epoch}, at which it was compared, is no longer stored"
    if doubt := at.epoch.doubt(name):
        return doubt
    if lake is not None and lake.unreadable:
        return lake.unreadable
    if total(sums.source.values()) != ZERO:
        return f"the source has rows at epoch {epoch} that were not compared"
    if total(sums.lake.values()) != ZERO:
        return "the lake has rows that were not compared"
    return ""


def _partition(stored: StoredVerdict) -> PartitionFingerprint:
    return PartitionFingerprint(
        partition=stored.partition,
        verdict=stored.verdict.outcome.value,
        reason=stored.verdict.reason or None,
        epoch=stored.epoch,
        since=moment(stored.since),
        source=side(stored.verdict.source),
        lake=side(stored.verdict.lake),
    )


def history_answer(table: str, partition: str, points: Sequence[HistoryPoint], limit: int) -> HistoryAnswer:
    """A page of a partition's history.

    One point more than `limit` shows that another page follows.
    """
    page = points[:limit]
    items = [
        HistoryItem(
            at=moment(point.at_ms / 1000),
            epoch=point.epoch,
            verdict=point.verdict.outcome.value,
            reason=point.verdict.reason or None,
            source=side(point.verdict.source),
            lake=side(point.verdict.lake),
        )
        for point in page
    ]
    next_before = page[-1].at_ms if len(points) > limit else None
    return HistoryAnswer(table=table, partition=partition, items=items, next_before=next_before)


def _sum(parts: Iterable[Fingerprint | None]) -> Fingerprint | None:
    """The fingerprint of all parts together. None when one of them is unknown."""
    known = list(parts)
    return total(part for part in known if part is not None) if None not in known else None


def worst_verdict(parts: Sequence[StoredVerdict]) -> tuple[Outcome, str]:
    """The worst outcome of a table's partitions, with its reason.

    The reason is that of the only partition with this outcome, or their number and the first of them.
    """
    worst = overall((part.verdict.outcome for part in parts), of_none=Outcome.INCONCLUSIVE)
    such = [part for part in parts if part.verdict.outcome is worst]
    if worst is Outcome.MATCH:
        return worst, ""
    reasons = {part.verdict.reason for part in such}
    if len(parts) == 1 or (len(reasons) == 1 and worst is Outcome.INCONCLUSIVE):
        return worst, such[0].verdict.reason
    verb = "differ" if worst is Outcome.MISMATCH else "cannot be compared"
    if len(such) == 1:
        verb = verb.replace("differ", "differs")
    return worst, f"{len(such)} of {len(parts)} partitions {verb}; {such[0].partition}: {such[0].verdict.reason}"
