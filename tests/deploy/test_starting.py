"""A start is waited for as long as the process lives and works; who ended is blamed, never who waits for it."""

from __future__ import annotations

import itertools
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from deploy.embedded.part import LogPart, Part, PartError, describe_failure
from deploy.embedded.process import Process
from deploy.embedded.stack import EmbeddedStack, in_parallel
from deploy.embedded.starting import STALLED_S, Patience, work_of
from deploy.embedded.waiting import await_condition
from deploy.supervision.start_up import STARTS_MAX, SUPERVISOR, StartUp
from deploy.supervision.supervisor import ProgramState


class Time:
    """A clock that goes on while somebody waits, a second at a time."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    def pause(self, _seconds: float) -> None:
        self.now += 1.0


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def patience(clock: Time, told: list[str]) -> Patience:
    return Patience(600.0, told.append, clock, clock.pause)


def after(clock: Time, seconds: float) -> Callable[[], bool]:
    begin = clock()
    return lambda: clock() - begin >= seconds


def alive() -> None:
    """Nothing has ended."""


def test_a_slow_start_is_waited_for_while_it_works_and_is_reported(
    patience: Patience, clock: Time, told: list[str], tmp_path: Path
) -> None:
    log = tmp_path / "kafka.log"
    log.write_text("of an earlier run\n")
    part = LogPart.from_now(log)
    work = itertools.count()

    def is_ready() -> bool:
        with log.open("a") as file:
            file.write(f"at {clock():.0f}\n")
        return clock() >= 1_500

    patience.await_start("kafka", is_ready, require_alive=alive, work=lambda: next(work), log=part)
    assert clock() == 1_500
    assert told[0] == "kafka is starting, 5 s so far: at 1005"
    assert len(told) == 99


def test_a_start_that_takes_longer_than_was_chosen_is_given_up(patience: Patience, clock: Time, tmp_path: Path) -> None:
    work = itertools.count()
    log = LogPart(tmp_path / "none.log")
    with pytest.raises(PartError) as error:
        patience.await_start("kafka", lambda: False, require_alive=alive, work=lambda: next(work), log=log)
    assert str(error.value) == f"kafka is not ready after 600 s; it has logged nothing ({log.file})"
    assert clock() == 1_600


@pytest.mark.parametrize("work", ["the same", None])
def test_a_process_that_does_nothing_is_given_up_earlier_unless_that_cannot_be_seen(
    work: str | None, patience: Patience, clock: Time, tmp_path: Path
) -> None:
    with pytest.raises(PartError, match="neither computed nor logged" if work else "is not ready after 600 s"):
        patience.await_start(
            "s3", lambda: False, require_alive=alive, work=lambda: work, log=LogPart(tmp_path / "none.log")
        )
    assert clock() == 1_000 + (STALLED_S if work else 600)


def state(name: str, kind: str = "RUNNING", *, pid: int = 7, exit_status: int = 0) -> ProgramState:
    return ProgramState(name=name, state=kind, pid=pid, started=1_000, exit_status=exit_status)


def start_up(states: Callable[[], Mapping[str, ProgramState]], patience: Patience, folder: Path) -> StartUp:
    for name in ("mariadb", "kafka", SUPERVISOR):
        (folder / f"{name}.log").write_text(f"{name} before\n")
    logs = {name: LogPart.from_now(folder / f"{name}.log") for name in ("mariadb", "kafka", SUPERVISOR)}
    return StartUp(states, logs, patience)


def test_the_program_that_ended_is_blamed_by_whoever_waits(patience: Patience, tmp_path: Path) -> None:
    result = {"mariadb": state("mariadb"), "kafka": state("kafka", "EXITED", pid=0, exit_status=1)}
    begun = start_up(lambda: result, patience, tmp_path)
    with pytest.raises(PartError) as error:
        begun.await_ready("mariadb", lambda: False)
    assert str(error.value) == f"kafka ended with status 1; it has logged nothing ({tmp_path / 'kafka.log'})"
    with (tmp_path / "kafka.log").open("a") as log:
        log.write("address in use\n")
    with pytest.raises(PartError) as error:
        begun.await_ready("mariadb", lambda: True)
    assert str(error.value).splitlines()[1:] == ["  address in use"]


def test_a_program_that_is_started_again_and_again_is_blamed(patience: Patience, tmp_path: Path) -> None:
    pids = iter(range(100, 200))
    begun = start_up(lambda: {"kafka": state("kafka", pid=next(pids))}, patience, tmp_path)
    with pytest.raises(PartError, match="kafka ends whenever it is started"):
        begun.await_ready("mariadb", lambda: False)
    assert next(pids) == 100 + STARTS_MAX + 1


def test_a_supervisor_that_is_gone_is_blamed(patience: Patience, tmp_path: Path) -> None:
    def gone() -> Mapping[str, ProgramState]:
        raise ConnectionRefusedError(111, "Connection refused")

    with pytest.raises(PartError, match=r"the supervisor does not answer \(.*Connection refused"):
        start_up(gone, patience, tmp_path).await_ready("kafka", lambda: False)


def test_a_log_that_was_rotated_is_read_from_its_beginning(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("old\n" * 10)
    part = LogPart.from_now(log)
    assert (part.size, part.lines()) == (0, [])
    log.write_text("new\n")
    assert part.lines() == ["new"]
    assert describe_failure("x ended", part) == f"x ended; its log {log} ends with:\n  new"


def test_the_work_of_a_process_grows_with_its_cpu_time_and_its_log(tmp_path: Path) -> None:
    log = LogPart(tmp_path / "x.log")
    before = work_of(os.getpid(), log)
    assert await_condition(lambda: work_of(os.getpid(), log) != before, timeout_s=20, pause_s=0)
    (tmp_path / "x.log").write_text("said\n")
    assert work_of(os.getpid(), log) != before
    assert work_of(2**22 + 1, log) is None


class Program(Part):
    """A part that is any program."""

    def __init__(self, folder: Path, code: str) -> None:
        super().__init__(folder, 0)
        object.__setattr__(self, "code", code)

    @property
    def name(self) -> str:
        return self.directory.name

    def prepare(self) -> None:
        self.directory.mkdir()

    def command(self) -> list[str]:
        return [sys.executable, "-c", self.code]  # type: ignore[attr-defined]

    def is_ready(self) -> bool:
        return False

    def environment(self) -> dict[str, str]:
        return {}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[EmbeddedStack]:
    made = EmbeddedStack(tmp_path / "data")
    (tmp_path / "data" / "logs").mkdir(parents=True, exist_ok=True)
    yield made
    made.stop()


def test_of_parts_that_start_together_the_one_that_ends_is_named_at_once(stack: EmbeddedStack, tmp_path: Path) -> None:
    waits = Program(tmp_path / "waits", "import time; print('waiting'); time.sleep(300)")
    ends = Program(tmp_path / "ends", "import sys; sys.stderr.write('no room\\n'); sys.exit(3)")
    with pytest.raises(PartError) as error:
        stack._start([waits, ends])
    assert str(error.value).startswith("ends ended with status 3; its log ")
    assert str(error.value).splitlines()[1:] == ["  no room"]


def test_the_first_failure_ends_the_other_waits(tmp_path: Path) -> None:
    cancelled = threading.Event()
    first, second = Program(tmp_path / "first", ""), Program(tmp_path / "second", "")

    def work(part: Part) -> None:
        if part is first:
            raise PartError("first")
        assert cancelled.wait(30)

    with pytest.raises(PartError, match="first"):
        in_parallel(work, [first, second], cancelled)


def test_a_process_tells_how_it_ended(tmp_path: Path) -> None:
    process = Process([sys.executable, "-c", "raise SystemExit(4)"], tmp_path / "log")
    assert await_condition(lambda: not process.is_running, timeout_s=30)
    assert process.exit_status == 4
