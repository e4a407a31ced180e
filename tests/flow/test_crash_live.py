"""Stop it anywhere, at any time: when all is quiet again, the lake is the warehouse, row for row."""

from __future__ import annotations

import contextlib
import os
import random
from functools import partial

import pymysql
import pytest

from deploy.embedded.stack import PartName
from tests.flow.running import Flow

pytestmark = pytest.mark.live

RATE = 6
SEED = 20310402
CLOSE = {"DFP_CDC_EPOCH_S": "0.3", "DFP_LAKE_FLUSH_S": "0.2"}
"""Small epochs and commits, so that a kill meets one half-way."""

AT_WORK = {"cdc": "event=stream resumed", "lake_writer": "event=writing", "fingerprinter": "event=fingerprinting"}
"""What a service says when it has found where it stands; before that there is little to interrupt."""

FAULTS = (*("cdc", "lake_writer", "fingerprinter") * 4, *("dump",) * 3, *("kafka",) * 2, "source", "s3")
PARTS: dict[str, PartName] = {"kafka": "kafka", "source": "source", "s3": "s3"}
GAMES_BETWEEN_MAX = 6


def kill_dump(flow: Flow) -> None:
    """KILLs the connection on which capture reads the binlog."""
    for number in [row[0] for row in flow.sql("SHOW PROCESSLIST") if row[4].startswith("Binlog Dump")]:
        with contextlib.suppress(pymysql.OperationalError):  # it may have ended meanwhile
            flow.sql(f"KILL {number}")


def await_work(flow: Flow, name: str, started: dict[str, int]) -> None:
    """Waits until a service is at work since it was started last."""
    flow.await_that(f"{name} is at work", lambda: flow.service(name).says(AT_WORK[name], started[name] + 1))


def has_come_to(flow: Flow, moment: int) -> bool:
    return flow.source_moment >= moment


def strike(flow: Flow, fault: str, started: dict[str, int]) -> None:
    if fault == "dump":
        kill_dump(flow)
    elif fault in PARTS:
        flow.stack.kill(PARTS[fault])
        flow.stack.start_part(PARTS[fault])
    else:
        flow.service(fault).kill()
        started[fault] = flow.service(fault).text.count(AT_WORK[fault])
        flow.service(fault).start()


def interrupt_snapshot(flow: Flow, dice: random.Random) -> None:
    """Each attempt begins from nothing, on both sides."""
    cdc = flow.service("cdc")
    for attempt in (1, 2):
        cdc.start(DFP_CDC_SNAPSHOT_ROWS="50")
        cdc.await_saying("snapshot read", times=attempt * dice.randint(5, 15))
        cdc.kill()
    cdc.start()
    cdc.await_saying("snapshot complete")


def test_kills_at_any_moment_under_load_lose_nothing_and_double_nothing(flow: Flow) -> None:
    """Snapshot, stream, broker, source and store are struck; then an independent reading finds both sides equal."""
    dice = random.Random(int(os.environ.get("FLOW_SEED", SEED)))
    flow.environment |= CLOSE
    flow.seed()
    flow.start("lake_writer", "fingerprinter")
    interrupt_snapshot(flow, dice)
    generator = flow.service("generator", "--rate", str(RATE))
    generator.start()
    begin = flow.source_moment
    started = dict.fromkeys(AT_WORK, 0)
    for fault in dice.sample(FAULTS, len(FAULTS)):
        for name in AT_WORK if fault not in AT_WORK else (fault,):
            await_work(flow, name, started)
        moment = flow.source_moment + dice.randint(1, GAMES_BETWEEN_MAX)
        flow.await_that(f"transaction {moment}", partial(has_come_to, flow, moment))
        strike(flow, fault, started)
    assert flow.source_moment > begin + len(FAULTS)
    assert generator.end() == 0

    flow.settle()
    assert flow.assert_equal() > 0
    flow.assert_all_match()


def test_sigterm_ends_every_service_with_status_0_and_what_was_missed_is_caught_up(flow: Flow) -> None:
    flow.environment |= CLOSE
    flow.seed()
    flow.start()
    generator = flow.service("generator", "--games", "30", "--rate", str(RATE))
    generator.start()
    flow.await_that("a lake commit was judged under load", lambda: bool(flow.source_moment and flow.judged_gtid()))
    assert {name: flow.service(name).end() for name in AT_WORK} == dict.fromkeys(AT_WORK, 0)
    assert generator.wait(60) == 0
    flow.start()
    flow.settle()
    flow.assert_equal()
    flow.assert_all_match()
