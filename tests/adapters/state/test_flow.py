"""How far the flow is, read from a real store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafingerprint.adapters.state.incidents import SqlIncidentStore
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.epochs import READ_AGAIN, Epoch, OffsetRange, SnapshotCursor, SourcePosition
from datafingerprint.flow import FlowState
from datafingerprint.ledger import Advance, Progress


@dataclass
class World:
    """A store that a test fills epoch by epoch, at times that it sets."""

    state: SqlStateStore
    incidents: SqlIncidentStore
    now: list[float]
    progress: Progress = field(default_factory=Progress)

    def publish(
        self,
        committed_at: float,
        rows: int = 0,
        snapshots: Mapping[str, SnapshotCursor] | None = None,
        aside: Mapping[str, str] | None = None,
    ) -> None:
        number = self.progress.epoch + 1
        ranges = {"s.a": {0: OffsetRange(0, 1, 1, rows)}} if rows else {}
        epoch = Epoch(
            "stream", number, SourcePosition("", "f", number), committed_at, ranges,
            snapshots=snapshots or {}, set_aside=aside or {},
        )  # fmt: skip
        after = Progress("stream", number, number, self.progress.lake_epoch, self.progress.lake_commits_offset)
        self.now[0] = committed_at + 1
        self.state.advance(self.progress, Advance(after, [epoch], [], {}))
        self.progress = after

    def compare(self, number: int) -> None:
        self.progress = Progress("stream", self.progress.epoch, self.progress.epochs_offset, number, number)
        self.state.save_verdicts(self.progress, [], self.now[0])


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    url = f"sqlite:///{tmp_path}/state.db"
    now = [0.0]
    with closing(SqlStateStore(url, clock=lambda: now[0])) as state, closing(SqlIncidentStore(url)) as incidents:
        yield World(state, incidents, now)


def cursor(percent: int) -> SnapshotCursor:
    return SnapshotCursor(percent, 100, complete=percent == 100)


def test_an_empty_store_shows_nothing(world: World) -> None:
    assert world.incidents.flow() == FlowState()


def test_the_oldest_change_that_the_lake_lacks_counts_and_heartbeats_do_not(world: World) -> None:
    world.publish(100.0, rows=1)
    assert world.incidents.flow() == FlowState(None, 100.0)
    world.compare(1)
    world.publish(110.0)
    assert world.incidents.flow() == FlowState(100.0, None)
    world.publish(120.0, rows=2)
    world.publish(130.0, rows=2)
    assert world.incidents.flow() == FlowState(100.0, 120.0)
    world.compare(3)
    assert world.incidents.flow() == FlowState(120.0, 130.0)


def test_a_snapshot_has_progressed_when_a_cursor_of_any_table_moved(world: World) -> None:
    world.publish(100.0, snapshots={"s.a": cursor(10), "s.b": cursor(0)})
    world.publish(110.0, snapshots={"s.a": cursor(20), "s.b": cursor(0)})
    for second in range(111, 120):
        world.publish(float(second), rows=1, snapshots={"s.a": cursor(20), "s.b": cursor(0)})
    flow = world.incidents.flow()
    assert (dict(flow.snapshots), flow.progressed_at) == ({"s.a": 20, "s.b": 0}, 111.0)
    world.publish(130.0, snapshots={"s.a": cursor(100), "s.b": cursor(0)})
    flow = world.incidents.flow()
    assert (dict(flow.snapshots), flow.progressed_at) == ({"s.b": 0}, 131.0)
    world.publish(140.0, snapshots={"s.a": cursor(100), "s.b": cursor(100)})
    assert world.incidents.flow().snapshots == {}


def test_a_table_that_is_set_aside_is_not_waited_for_unless_it_is_read_again(world: World) -> None:
    snapshots = {"s.a": cursor(10), "s.b": cursor(20)}
    world.publish(100.0, snapshots=snapshots, aside={"s.a": "why", "s.b": f"why{READ_AGAIN}"})
    assert dict(world.incidents.flow().snapshots) == {"s.b": 20}


@given(steps=st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=20))
@settings(max_examples=25, deadline=None)
def test_a_reader_that_remembers_says_what_a_new_one_says(steps: list[tuple[int, bool]]) -> None:
    now = [0.0]
    with TemporaryDirectory() as directory:
        url = f"sqlite:///{directory}/state.db"
        with closing(SqlStateStore(url, clock=lambda: now[0])) as state, closing(SqlIncidentStore(url)) as incidents:
            world = World(state, incidents, now)
            for second, (percent, is_read) in enumerate(steps):
                world.publish(float(second), rows=1, snapshots={"s.a": cursor(percent)})
                if is_read:
                    with closing(SqlIncidentStore(url)) as fresh:
                        assert incidents.flow() == fresh.flow()
