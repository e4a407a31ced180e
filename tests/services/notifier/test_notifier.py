"""The notifier over a real store: one message per incident and interval, kept over crashes, delayed by nobody."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import structlog

from datafingerprint.adapters.state.incidents import SqlIncidentStore
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.alerts import Content
from datafingerprint.config import Alerts, load_settings
from datafingerprint.epochs import Epoch, SourcePosition
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.ledger import Advance, Progress, TableVerdicts
from datafingerprint.liveness import Roster, ServiceReport, Services, ServiceState
from datafingerprint.ports.receivers import DeliveryError
from datafingerprint.verdict import judge_table
from services.notifier.delivery import ABANDONED_MAX, Courier
from services.notifier.notifier import Notifier, reachable_limits

FULL, FEW = Fingerprint(5, 5, 5), Fingerprint(4, 5, 5)
SETTINGS = Alerts(quiet_s=10, group_s=30, reminder_s=0, silent_s=20)


@dataclass
class FakeReceiver:
    """Keeps what it was sent, fails, or hangs until it is let go."""

    key: str = "fake-1"
    address: str = "fake://"
    sent: list[Content] = field(default_factory=list)
    attempts: int = 0
    failure: str = ""
    hangs: threading.Event | None = None

    def send(self, content: Content) -> None:
        self.attempts += 1
        if self.hangs is not None:
            self.hangs.wait(30)
        if self.failure:
            raise DeliveryError(self.failure)
        self.sent.append(content)


@dataclass
class FakeServices:
    """What the services report; nothing where the broker is away."""

    states: dict[str, tuple[ServiceState, float]] = field(default_factory=dict)
    away: str | None = None

    def services(self) -> Services:
        roster = Roster()
        now = 10_000.0
        for name, (state, since) in self.states.items():
            roster.hear(ServiceReport(name, name, "here", 1, "1", state, 0.0, since, now), now)
        return Services(roster.services(now), self.away)


@dataclass
class World:
    """A state store, receivers, and notifiers over them at a time that tests set."""

    url: str
    state: SqlStateStore
    store: SqlIncidentStore
    receivers: list[FakeReceiver]
    services: FakeServices = field(default_factory=FakeServices)
    now: float = 1000.0
    settings: Alerts = SETTINGS

    def notifier(self, owner: str = "a notifier") -> Notifier:
        """A new process, so to say: it knows nothing but what is stored."""
        self.couriers = {receiver.key: Courier(receiver, 5.0, lambda: self.now) for receiver in self.receivers}
        log = structlog.stdlib.get_logger()
        return Notifier(
            self.store, self.services, self.couriers, self.settings, "http://dfp", owner, log, lambda: self.now
        )

    def turn(self, notifier: Notifier, now: float, times: int = 4) -> None:
        """Some turns at one moment, with attempts that end in between."""
        self.now = now
        for _ in range(times):
            notifier.turn()
            for courier in self.couriers.values():
                if not isinstance(courier.receiver, FakeReceiver) or courier.receiver.hangs is None:
                    courier.wait(10)

    def judge(self, *tables: str, bad: int = 1, count: int = 3) -> None:
        source = {f"p={number:03}": FULL for number in range(count)}
        lake = {name: FEW if number < bad else FULL for number, name in enumerate(source)}
        judged = [TableVerdicts(table, 1, judge_table(source, lake)) for table in tables]
        self.state.save_verdicts(Progress("stream", 1, 1, 1, 1), judged, self.now)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    url = f"sqlite:///{tmp_path}/state.db"
    with contextlib.closing(SqlStateStore(url)) as state, contextlib.closing(SqlIncidentStore(url)) as store:
        yield World(url, state, store, [FakeReceiver()])


def titles(receiver: FakeReceiver) -> list[str]:
    return [content.title.removeprefix("DataFingerprint: ") for content in receiver.sent]


def test_two_hundred_partitions_of_twenty_tables_are_one_message(world: World) -> None:
    notifier = world.notifier()
    world.turn(notifier, 1000)
    world.judge(*(f"s.t{number:02}" for number in range(20)), bad=10, count=10)
    for now in range(1001, 1060, 5):
        world.turn(notifier, now)
    (message,) = world.receivers[0].sent
    assert message.title == "DataFingerprint: opened: table s.t00, rows_missing, and 19 more"
    assert len(message.payload["notices"]) == 20


def test_what_follows_within_the_interval_is_one_more_message(world: World) -> None:
    notifier = world.notifier()
    world.turn(notifier, 1000)
    world.judge("s.a")
    world.turn(notifier, 1001)
    world.judge("s.b")
    world.turn(notifier, 1002)
    world.judge("s.c")
    world.judge("s.a", bad=0)
    world.turn(notifier, 1003)
    world.turn(notifier, 1014)
    assert titles(world.receivers[0]) == ["opened: table s.a, rows_missing"]
    world.turn(notifier, 1032)
    assert titles(world.receivers[0])[1:] == ["opened: table s.b, rows_missing, and 2 more"]
    kinds = [notice["kind"] for notice in world.receivers[0].sent[1].payload["notices"]]
    assert kinds == ["opened", "opened", "recovered"]


def test_a_message_that_a_killed_notifier_had_begun_is_sent_by_the_next_one_under_the_same_id(world: World) -> None:
    notifier = world.notifier()
    world.turn(notifier, 1000)
    world.judge("s.a")
    world.receivers[0].failure = "away"
    world.turn(notifier, 1001)
    (stored,) = world.store.messages()
    assert (stored.attempts, stored.error, world.receivers[0].sent) == (1, "away", [])
    # Killed here: the next one, on another machine, must wait for the lease, and knows only what is stored.
    world.receivers[0].failure = ""
    following = world.notifier("another notifier")
    world.turn(following, 1005)
    assert world.receivers[0].sent == []
    world.turn(following, 1020)
    assert [content.id for content in world.receivers[0].sent] == [stored.id]
    world.turn(following, 1100)
    assert len(world.receivers[0].sent) == 1


def test_a_receiver_that_is_down_gets_all_in_order_when_it_is_back(world: World) -> None:
    notifier = world.notifier()
    world.turn(notifier, 1000)
    world.receivers[0].failure = "away"
    world.judge("s.a")
    for now in range(1001, 1061):
        world.turn(notifier, now, times=1)
        if now == 1030:
            world.judge("s.b")
    assert 3 <= world.receivers[0].attempts <= 8  # pauses grow
    world.receivers[0].failure = ""
    for now in range(1061, 1200):
        world.turn(notifier, now, times=1)
    assert titles(world.receivers[0]) == ["opened: table s.a, rows_missing", "opened: table s.b, rows_missing"]


def test_a_receiver_that_never_answers_delays_no_other_and_hangs_a_few_threads_at_most(world: World) -> None:
    stuck = FakeReceiver("stuck-1", hangs=threading.Event())
    world.receivers.append(stuck)
    notifier = world.notifier()
    world.turn(notifier, 1000)
    world.judge("s.a")
    began = time.monotonic()
    for now in range(1001, 1400):
        world.turn(notifier, now, times=1)
    assert time.monotonic() - began < 30
    assert titles(world.receivers[0]) == ["opened: table s.a, rows_missing"]
    assert stuck.attempts == ABANDONED_MAX
    state = next(receiver for receiver in world.store.receivers() if receiver.key == "stuck-1")
    assert state.message is not None
    assert state.message.error == "no answer within 5 s"
    assert stuck.hangs is not None
    stuck.hangs.set()


def test_a_service_that_is_silent_is_an_incident_unless_nothing_is_known(world: World) -> None:
    notifier = world.notifier()
    world.services.states = {"cdc": (ServiceState.STOPPED, 1000.0), "generator": (ServiceState.ENDED, 0.0)}
    world.turn(notifier, 1010)
    assert world.store.incidents() == []
    world.turn(notifier, 1021)
    (incident,) = world.store.incidents()
    assert (incident.subject.name, incident.incident_class.value) == ("cdc", "service_silent")
    assert titles(world.receivers[0]) == ["opened: service cdc, service_silent"]
    world.services.away = "the broker is away"
    world.services.states = {}
    world.turn(notifier, 1500)
    assert world.store.incidents(is_open=True) != []
    world.services.away = None
    world.services.states = {"cdc": (ServiceState.RUNNING, 1501.0)}
    world.turn(notifier, 1502)
    world.turn(notifier, 1513)
    assert world.store.incidents(is_open=True) == []
    world.turn(notifier, 1600)
    assert titles(world.receivers[0])[1:] == ["recovered: service cdc, service_silent"]


def test_a_silenced_incident_says_nothing_and_an_acknowledged_one_only_its_recovery(world: World) -> None:
    world.settings = SETTINGS.model_copy(update={"reminder_s": 100.0})
    notifier = world.notifier()
    world.turn(notifier, 1000)
    world.judge("s.a", "s.b")
    world.turn(notifier, 1001)
    first, second = world.store.incidents()
    world.store.silence(first.number, 5000.0, 1002)
    world.store.acknowledge(second.number, "", 1002)
    world.turn(notifier, 2000)
    world.judge("s.a", "s.b", bad=0)
    world.turn(notifier, 2001)
    world.turn(notifier, 2020)
    world.turn(notifier, 2100)
    assert titles(world.receivers[0])[1:] == ["recovered: table s.a, rows_missing"]


def test_nothing_is_applied_while_nothing_changes_but_once_a_minute(world: World) -> None:
    notifier = world.notifier()
    world.judge("s.a", bad=0, count=200)
    world.turn(notifier, 1000)
    applied: list[float] = []
    apply = world.store.apply
    world.store.apply = lambda owner, now, decide: applied.append(now) or apply(owner, now, decide)  # type: ignore[method-assign, func-returns-value]
    for now in range(1001, 1200):
        world.turn(notifier, now, times=1)
    assert applied == [1060, 1120, 1180]


def test_another_trouble_does_not_open_a_second_incident_of_a_silent_service(world: World) -> None:
    notifier = world.notifier()
    world.services.states = {"cdc": (ServiceState.STOPPED, 900.0)}
    world.turn(notifier, 1000)
    world.turn(notifier, 1030)
    assert len(world.store.incidents(is_open=True)) == 1
    world.judge("s.a")
    world.turn(notifier, 1031)
    assert sorted(incident.subject.name for incident in world.store.incidents(is_open=True)) == ["cdc", "s.a"]


def test_a_comparison_that_gets_old_opens_one_incident_which_closes_when_it_is_young_again(world: World) -> None:
    world.settings = Alerts(quiet_s=10, group_s=1, reminder_s=0, stale_s=100, lag_s=0)

    def epoch(number: int, committed_at: float) -> None:
        record = Epoch("stream", number, SourcePosition("", "f", number), committed_at)
        before, after = (Progress("stream" if n else None, n, n, n, n) for n in (number - 1, number))
        read = Progress("stream", number, number, number - 1, number - 1)
        world.state.advance(before, Advance(read, [record], [], {}))
        world.state.save_verdicts(after, [], world.now)

    epoch(1, 900.0)
    notifier = world.notifier()
    world.turn(notifier, 1000)
    assert titles(world.receivers[0]) == []  # the flow may have been shut down: it has the whole limit to catch up
    for now in range(1001, 1106):
        world.turn(notifier, now, times=3)
    assert titles(world.receivers[0]) == ["opened: flow lake, data_stale"]
    assert "compared last as of 1970-01-01T00:15:00Z" in world.receivers[0].sent[0].body
    notifier = world.notifier("the next one")  # it must keep the incident open
    world.store.release("a notifier")
    world.turn(notifier, 1106)
    world.turn(notifier, 1120)
    assert len(world.store.incidents(is_open=True)) == 1
    epoch(2, 1119.0)
    for now in range(1121, 1140):
        world.turn(notifier, now, times=3)
    assert titles(world.receivers[0])[1:] == ["recovered: flow lake, data_stale"]


def test_a_lake_writer_that_may_wait_long_is_not_late() -> None:
    hourly = reachable_limits(load_settings({"lake": {"flush_s": 3600}, "cdc": {"heartbeat_s": 60}}, {}))
    assert (hourly.lag_s, hourly.stale_s) == (7200.0, 7320.0)
    assert reachable_limits(load_settings({}, {})) == Alerts()
    never = load_settings({"lake": {"flush_s": 3600}, "alerts": {"lag_s": 0, "stale_s": 0}}, {})
    assert (reachable_limits(never).lag_s, reachable_limits(never).stale_s) == (0.0, 0.0)
