"""One audit against a source in memory: units, views that grow old, pauses, what is inconclusive, what is resumed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import structlog

from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.audit import Finding, Hop, Load
from datafingerprint.audits import AuditState, Origin, Scope, StoredAudit
from datafingerprint.cascades import Suspicion
from datafingerprint.column_types import column
from datafingerprint.config import Audit
from datafingerprint.epochs import Epoch, SourcePosition
from datafingerprint.errors import ConfigError, SourceError, Unavailable, UnmeasuredError
from datafingerprint.ledger import Advance, Progress, SumKey
from datafingerprint.ports.stream import EpochRows
from datafingerprint.resync import ResyncRequest
from datafingerprint.schema import TableSchema
from datafingerprint.verdict import Outcome
from services.auditor.alignment import StreamSide
from services.auditor.cascade_checks import CascadeChecks
from services.auditor.command import run_command
from services.auditor.journal import AuditStep
from services.auditor.service import AuditService
from tests.services.auditor.memory import POSITION, MemorySource, MemoryView, of

GAMES = "s.games"
LOG = structlog.get_logger()
Rows = Mapping[str, int]


class NoHistory:
    """No view lies within an epoch here."""

    def read_again(self, _number: int, _before_offset: int) -> EpochRows:
        raise AssertionError


@dataclass
class World:
    """A store with a stream's sums, and what runs audits over it."""

    store: SqlStateStore
    source: MemorySource
    settings: Audit
    stop: threading.Event = field(default_factory=threading.Event)
    seen: list[AuditStep] = field(default_factory=list)
    watch: Callable[[AuditStep], None] = lambda _: None

    def service(self, owner: str = "me", checks: CascadeChecks | None = None) -> AuditService:
        def watch(seen: AuditStep) -> None:
            self.seen.append(seen)
            self.watch(seen)

        stream = StreamSide(self.store, NoHistory(), self.settings.align_s)
        return AuditService(self.source, stream, self.store, self.settings, owner, LOG, watch, checks=checks)

    def audit(self, scope: Scope = Scope(), *, from_start: bool = False) -> dict[str | None, Finding]:  # noqa: B008 - frozen
        result = run_command(self.store, self.service(), scope, "me", self.stop, from_start=from_start)
        return {item.partition: item for item in result}

    @property
    def last(self) -> StoredAudit:
        return self.store.audits(limit=1)[0]


def definition(name: str, *partition: str) -> TableSchema:
    columns = tuple(column(each, "int", nullable=False, charset=None) for each in ("id", "n"))
    return TableSchema("s", name, columns, ("id",), partition)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., World]]:
    with closing(SqlStateStore(f"sqlite:///{tmp_path}/state.db")) as store:

        def world(source: dict[str, Rows], stream: dict[str, Rows] | None = None, **settings: float) -> World:
            known = source if stream is None else stream
            sums = [
                (1, SumKey(table, name, 0), of(rows)) for table, parts in known.items() for name, rows in parts.items()
            ]
            defined = {
                table: (1, definition(table.split(".")[1], *(["n"] if "-" not in parts else [])))
                for table, parts in known.items()
            }
            epoch = Epoch("stream", 1, POSITION, 0.0, versions=dict.fromkeys(known, 1))
            store.advance(Progress(), Advance(Progress("stream", 1, 1), [epoch], sums, defined))
            of_source = {table: dict(parts) for table, parts in source.items()}
            return World(store, MemorySource(of_source), Audit(**{"align_s": 1.0, **settings}))

        yield world


def test_small_tables_share_a_view_and_take_one_statement_each(make: Callable[..., World]) -> None:
    world = make({GAMES: {"n=1": 3, "n=2": 4}, "s.teams": {"n=1": 5}})
    result = run_command(world.store, world.service(), Scope(), "me", world.stop)
    assert {(item.table, item.partition, item.outcome) for item in result} == {
        (GAMES, "n=1", Outcome.MATCH), (GAMES, "n=2", Outcome.MATCH), ("s.teams", "n=1", Outcome.MATCH),
    }  # fmt: skip
    assert world.source.asked == [("sums", "games", None), ("sums", "teams", None)]
    assert world.source.views == 1
    assert (world.last.state, world.last.outcome) == (AuditState.DONE, Outcome.MATCH)
    assert (world.last.progress.partitions_done, world.last.progress.partitions, world.last.progress.rows) == (3, 3, 12)


def test_big_partitions_are_summed_up_in_ranges_and_small_ones_together(make: Callable[..., World]) -> None:
    world = make({GAMES: {"n=1": 25, "n=2": 4, "n=3": 5}}, range_rows=10)
    stored = world.audit(Scope(GAMES))
    assert {name: (item.outcome, item.source) for name, item in stored.items()} == {
        f"n={at}": (Outcome.MATCH, of(rows)) for at, rows in ((1, 25), (2, 4), (3, 5))
    }
    assert world.source.asked == [
        ("rows", "games", None), *[("sums", "games", ("n=1",))] * 3, ("sums", "games", ("n=2", "n=3")),
    ]  # fmt: skip
    assert world.last.progress.rows == 34


def test_a_big_table_that_is_not_split_is_not_counted_first(make: Callable[..., World]) -> None:
    world = make({GAMES: {"-": 25}}, range_rows=10)
    assert world.audit(Scope(GAMES))["-"].source == of(25)
    assert world.source.asked == [("sums", "games", None)] * 3


def test_partitions_that_only_one_side_has_are_found(make: Callable[..., World]) -> None:
    world = make({GAMES: {"n=1": 25, "n=9": 4}}, {GAMES: {"n=1": 25, "n=2": 7}}, range_rows=10)
    stored = world.audit(Scope(GAMES))
    assert {name: (item.hops, item.reason) for name, item in stored.items()} == {
        "n=1": ((), ""),
        "n=2": ((Hop.CAPTURE,), "the stream has 7 rows too many"),
        "n=9": ((Hop.CAPTURE,), "the stream has 4 rows too few"),
    }


def test_one_partition_asks_for_nothing_else(make: Callable[..., World]) -> None:
    world = make({GAMES: {"n=1": 25, "n=2": 4}}, range_rows=10)
    assert list(world.audit(Scope(GAMES, "n=2"))) == ["n=2"]
    assert world.source.asked == [("sums", "games", ("n=2",))]


def test_it_goes_on_in_a_new_view_when_one_has_become_too_old(make: Callable[..., World]) -> None:
    world = make({GAMES: {"n=1": 9, "n=2": 8}}, range_rows=10, view_s_max=5)

    def age(view: MemoryView, _: Sequence[str] | None) -> None:
        view.age_s += 6

    world.source.before_sums = age
    stored = world.audit(Scope(GAMES))
    assert {item.outcome for item in stored.values()} == {Outcome.MATCH}
    assert len(stored) == 2
    assert world.source.views == 2


def test_a_partition_for_which_no_view_is_long_enough_is_inconclusive_and_the_others_are_not(
    make: Callable[..., World],
) -> None:
    world = make({GAMES: {"n=1": 35, "n=2": 8}}, range_rows=10, view_s_max=5)

    def age(view: MemoryView, partitions: Sequence[str] | None) -> None:
        view.age_s += 6 if partitions == ("n=1",) else 0

    world.source.before_sums = age
    stored = world.audit(Scope(GAMES))
    assert (stored["n=1"].outcome, stored["n=2"].outcome) == (Outcome.INCONCLUSIVE, Outcome.MATCH)
    assert stored["n=1"].reason == "it took longer than audit.view_s_max, 5 s: raise it"


def test_a_warning_makes_that_partition_inconclusive_and_no_other(make: Callable[..., World]) -> None:
    world = make({GAMES: {"n=1": 9, "n=2": 8}}, range_rows=10)

    def warn(_: MemoryView, partitions: Sequence[str] | None) -> None:
        if partitions == ("n=1",):
            raise UnmeasuredError("the source gave 1 warnings, first warning 1301: too long", where="db")

    world.source.before_sums = warn
    stored = world.audit(Scope(GAMES))
    assert (stored["n=1"].outcome, stored["n=1"].source) == (Outcome.INCONCLUSIVE, None)
    assert "warning 1301" in stored["n=1"].reason
    assert stored["n=2"].outcome is Outcome.MATCH
    assert world.last.outcome is Outcome.INCONCLUSIVE


def test_a_server_with_another_history_ends_the_audit_and_the_streams_own_source_agrees(
    make: Callable[..., World],
) -> None:
    world = make({GAMES: {"n=1": 9}})
    world.source.position = SourcePosition("5-9-3", "f", 5)
    with pytest.raises(SourceError, match="the server that is audited is not the stream's source") as refused:
        world.audit(Scope(GAMES))
    assert refused.value.remedy.startswith("point [audit] (or [source]) at the server that capture reads")
    world.source.position = POSITION
    assert world.audit(Scope(GAMES))["n=1"].outcome is Outcome.MATCH


def test_it_pauses_while_the_server_is_busy_and_says_so(make: Callable[..., World]) -> None:
    world = make({GAMES: {"n=1": 9}}, threads_running_max=2)
    world.source.load = lambda: Load(9)

    def calm(seen: AuditStep) -> None:
        if seen.pause:
            assert world.last.state is AuditState.PAUSED
            assert world.last.reason == "9 threads run on the server, above 2"
            assert world.source.asked == []
            world.source.load = lambda: Load(2)

    world.watch = calm
    assert world.audit(Scope(GAMES))["n=1"].outcome is Outcome.MATCH
    assert world.seen[0].pause
    assert world.last.state is AuditState.DONE


def test_what_was_killed_is_gone_on_with_and_no_partition_is_measured_twice(make: Callable[..., World]) -> None:
    world = make({GAMES: {"n=1": 9, "n=2": 8, "n=3": 7}}, range_rows=10)

    class KilledError(BaseException):
        """As kill -9: nothing is stored any more."""

    def kill(_: MemoryView, partitions: Sequence[str] | None) -> None:
        if partitions == ("n=2",):
            raise KilledError

    world.source.before_sums = kill
    left = world.store.begin_audit(Scope(GAMES), Origin.COMMAND, "killed", 0.0)
    with pytest.raises(KilledError):
        world.service("killed").finish(left, world.stop)
    world.source.before_sums = lambda _, __: None
    world.source.asked.clear()
    lost = world.store.audit(left.number)
    assert lost is not None
    assert lost.state is AuditState.RUNNING
    world.store.release_audit(left.number, "killed")  # as after the lease
    stored = world.audit(Scope(GAMES))
    assert set(stored) == {"n=1", "n=2", "n=3"}
    assert world.last.number == left.number
    assert [what for what in world.source.asked if what[0] == "sums"] == [
        ("sums", "games", ("n=2",)), ("sums", "games", ("n=3",)),
    ]  # fmt: skip
    assert world.last.progress.rows == 24


def test_an_audit_that_is_cancelled_ends_with_the_statement_at_hand(make: Callable[..., World]) -> None:
    world = make({GAMES: {"n=1": 9, "n=2": 8}}, range_rows=10)

    def cancel(seen: AuditStep) -> None:
        if not seen.pause:
            world.store.cancel_audit(seen.number, 1.0)

    world.watch = cancel
    assert list(world.audit(Scope(GAMES))) == ["n=1"]
    assert world.last.state is AuditState.CANCELLED


def test_a_long_statement_is_ended_when_the_audit_is(make: Callable[..., World]) -> None:
    world = make({GAMES: {"n=1": 9, "n=2": 8}}, range_rows=10)

    def take_long(_: MemoryView, __: Sequence[str] | None) -> None:
        world.stop.set()
        assert world.source.aborted.wait(30)
        raise UnmeasuredError("the source ended the statement", where="db")

    world.source.before_sums = take_long
    assert world.audit(Scope(GAMES)) == {}
    assert world.last.state is AuditState.CANCELLED


def test_who_stops_it_cancels_his_own_audit_and_the_service_leaves_it_to_be_gone_on_with(
    make: Callable[..., World],
) -> None:
    world = make({GAMES: {"n=1": 9, "n=2": 8}}, range_rows=10)
    world.source.before_sums = lambda _, __: world.stop.set()
    world.source.load = lambda: Load(999 if world.stop.is_set() else 1)
    world.audit(Scope(GAMES))
    assert (world.last.state, world.last.reason) == (AuditState.CANCELLED, "the command was stopped")
    taken = world.store.begin_audit(Scope(GAMES), Origin.SCHEDULE, "me", 1.0)
    assert not world.service().finish(taken, world.stop)
    assert world.last.state in (AuditState.RUNNING, AuditState.PAUSED)
    assert world.store.take_audit("another", 100.0) is not None


def test_a_refusal_fails_the_audit_before_anything_is_asked(make: Callable[..., World]) -> None:
    world = make({GAMES: {"n=1": 9}})
    world.source.refusal = SourceError("not the stream's source", where="db")
    with pytest.raises(SourceError):
        world.audit(Scope(GAMES))
    assert world.source.asked == []
    assert (world.last.state, world.last.reason) == (AuditState.FAILED, "not the stream's source at db")
    world.source.refusal = Unavailable("the source is away")
    with pytest.raises(Unavailable):
        world.audit(Scope(GAMES))
    assert (world.last.state, world.last.reason) == (AuditState.FAILED, "the source is away")
    with pytest.raises(ConfigError, match=r"table s\.game is not captured: captured tables: s\.games"):
        world.audit(Scope("s.game"))


def test_a_stream_that_does_not_come_to_the_view_leaves_it_inconclusive(
    make: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make({GAMES: {"n=1": 9}}, align_s=0.1)
    ahead = SourcePosition("0-1-9", "f", 9)

    @contextmanager
    def view(_: Sequence[TableSchema]) -> Iterator[MemoryView]:
        yield MemoryView(world.source, ahead)

    monkeypatch.setattr(world.source, "view", view)
    (result,) = world.audit(Scope(GAMES)).values()
    assert (result.partition, result.outcome) == (None, Outcome.INCONCLUSIVE)
    assert "the stream has not reached 0-1-9 in 0.1 s" in result.reason


def test_the_service_does_what_is_asked_for_and_then_its_round(make: Callable[..., World]) -> None:
    world = make({GAMES: {"n=1": 9}, "s.teams": {"n=1": 5}})
    asked = world.store.queue_audit(Scope("s.teams", "n=1"), Origin.REQUEST, 1.0)
    done: list[tuple[int, str | None]] = []

    def note(seen: AuditStep) -> None:
        done.append((seen.number, seen.table))
        if len(done) == 2:
            world.stop.set()

    world.watch = note
    world.store.scheduled_since({GAMES, "s.teams"}, time.time() - world.settings.every_s)
    world.service().serve(world.stop)
    assert done == [(asked, "s.teams"), (asked + 1, GAMES)]
    assert [(audit.origin, audit.state) for audit in world.store.audits(limit=2)] == [
        (Origin.SCHEDULE, AuditState.DONE), (Origin.REQUEST, AuditState.DONE),
    ]  # fmt: skip


def checked(world: World, asked: list[ResyncRequest], owner: str = "me") -> None:
    """Serves until a check has found something, or nothing was to be done."""

    def ask(request: ResyncRequest) -> int:
        asked.append(request)
        return len(asked) - 1

    service = world.service(owner, CascadeChecks(ask, 60.0, LOG, heals=True))
    taken = service._next_check()
    if taken is not None:
        assert service.finish(taken, world.stop)


def suspect(world: World, *tables: str, epoch: int = 1) -> None:
    world.store.suspect([Suspicion(table, 1, epoch, "rows of s.p were deleted") for table in tables])


def test_a_suspect_table_is_audited_by_itself_and_no_longer_suspect_when_the_source_agrees(
    make: Callable[..., World],
) -> None:
    world = make({GAMES: {"n=1": 3}, "s.teams": {"n=1": 5}})
    suspect(world, GAMES)
    asked: list[ResyncRequest] = []
    checked(world, asked)
    assert (world.last.scope, world.last.origin, world.last.outcome) == (
        Scope(GAMES), Origin.SUSPICION, Outcome.MATCH,
    )  # fmt: skip
    assert (world.store.suspicions(), asked) == ({}, [])


def test_what_differs_of_a_suspect_table_is_read_again_and_it_stays_suspect(make: Callable[..., World]) -> None:
    world = make({GAMES: {"n=1": 3, "n=2": 1}}, {GAMES: {"n=1": 5, "n=2": 1}})
    suspect(world, GAMES)
    asked: list[ResyncRequest] = []
    checked(world, asked)
    assert [(request.table, request.partition) for request in asked] == [(GAMES, "n=1")]
    assert world.store.suspicions().keys() == {GAMES}


def test_a_cause_behind_the_audits_view_keeps_a_table_suspect(make: Callable[..., World]) -> None:
    world = make({GAMES: {"n=1": 3}})
    suspect(world, GAMES, epoch=2)
    checked(world, [])
    assert world.last.outcome is Outcome.MATCH
    assert world.store.suspicions()[GAMES].first_epoch == 2


def test_any_audit_of_a_whole_table_clears_it_also_of_an_empty_one_but_not_one_of_a_partition(
    make: Callable[..., World],
) -> None:
    world = make({GAMES: {"n=1": 3}, "s.empty": {}})
    suspect(world, GAMES, "s.empty")
    world.audit(Scope(GAMES, "n=1"))
    assert world.store.suspicions().keys() == {GAMES, "s.empty"}
    world.audit()
    assert world.store.suspicions() == {}


def test_a_table_that_another_process_checks_is_left_to_that(make: Callable[..., World]) -> None:
    world = make({GAMES: {"n=1": 3}}, {GAMES: {"n=1": 5}})
    suspect(world, GAMES)
    asked: list[ResyncRequest] = []
    checked(world, asked, "me")
    checked(world, asked, "another")
    assert len(asked) == 1
    assert world.last.owner == "me"
