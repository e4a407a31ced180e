"""The demo, against a REST service and programs that a test makes up."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from rich.console import Console

from deploy.demo.answers import Comparison, Status, conclude, read_comparisons, read_status
from deploy.demo.rendering import choose_lines, status_line, verdict_table
from deploy.demo.rest import NoAnswer, Rest
from deploy.demo.runner import Demo, ProgramEnded
from deploy.demo.screens import Lines, open_screen
from deploy.supervision.supervisor import ProgramState

STATUS = {
    "epoch": 12,
    "source_epoch": 13,
    "position": {"gtid": "0-1-90", "file": "binlog.000001", "pos": 4},
    "verdict": "match",
    "lag": {"seconds": 0.84, "epochs": 1},
    "stream_id": "s",
    "partitions": {"match": 2, "mismatch": 0, "inconclusive": 0},
    "tables": 2,
    "rows": 31,
}
SIDE = {"rows": 31, "fingerprint": "9241175013205331968", "digest": "5f"}
FINGERPRINTS = {
    "verdict": "match",
    "items": [
        {
            "table": "ootp.games",
            "epoch": 12,
            "verdict": "mismatch",
            "reason": None,
            "source": SIDE,
            "lake": SIDE,
            "partitions": [
                {"partition": "date_year=2031", "verdict": "match", "epoch": 12, "source": SIDE, "lake": SIDE},
                {"partition": "date_year=2032", "verdict": "mismatch", "epoch": 12, "source": SIDE, "lake": None},
            ],
        },
        {
            "table": "ootp.teams",
            "epoch": None,
            "verdict": "inconclusive",
            "reason": "snapshot at 40 %",
            "source": None,
            "lake": None,
            "partitions": [{"partition": "-", "verdict": "inconclusive", "source": None, "lake": None}],
        },
    ],
}


class FakeRest:
    """A REST service whose answers change from one question to the next; the last one stays."""

    def __init__(self, *statuses: Mapping[str, Any] | None) -> None:
        self._statuses = list(statuses)

    def status(self) -> Status:
        answer = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        if answer is None:
            raise NoAnswer("still starting")
        return read_status(answer)

    def comparisons(self) -> list[Comparison]:
        return read_comparisons(FINGERPRINTS)


class SilentScreen:
    def show(self, status: Status, comparisons: list[Comparison]) -> None:
        """Shows nothing."""


def states(generator: str = "EXITED", cdc: str = "RUNNING") -> Callable[[], dict[str, ProgramState]]:
    kinds = {"generator": generator, "cdc": cdc}
    known = {name: ProgramState(name, kind, 1, 0, 0) for name, kind in kinds.items()}
    return lambda: known


def demo(service: FakeRest, **kinds: str) -> Demo:
    return Demo(states(**kinds), service, SilentScreen(), lambda: "0-1-90")


def test_the_end_is_reached_when_the_lake_stands_where_the_source_does() -> None:
    behind = STATUS | {"epoch": 11, "position": {"gtid": "0-1-80"}}
    run = demo(FakeRest(behind, None, STATUS))
    assert run.follow_to_the_end()
    assert run.status is not None
    assert run.status.epoch == 12


def test_the_end_waits_for_verdicts_that_are_still_open() -> None:
    open_verdicts = STATUS | {"partitions": {"match": 1, "inconclusive": 1}}
    open_table = STATUS | {"without_partitions": {"count": 1, "first": []}}
    run = demo(FakeRest(open_verdicts, open_table, STATUS))
    assert run.follow_to_the_end()
    assert run.status is not None
    assert run.status.all_match


def test_a_mismatch_is_an_end_but_no_success() -> None:
    run = demo(FakeRest(STATUS | {"partitions": {"match": 1, "mismatch": 1}}))
    assert run.follow_to_the_end()
    assert run.status is not None
    assert not run.status.all_match


def test_a_table_without_partitions_that_does_not_match_is_no_success() -> None:
    assert read_status(STATUS).all_match
    assert not read_status(STATUS | {"without_partitions": {"count": 1, "first": []}}).all_match


def test_a_service_that_ended_ends_the_demo() -> None:
    with pytest.raises(ProgramEnded, match="cdc"):
        demo(FakeRest(STATUS), cdc="EXITED").follow()


def test_a_service_that_does_nothing_but_crash_ends_the_demo() -> None:
    clock = iter(range(100))
    run = Demo(
        lambda: {"cdc": ProgramState("cdc", "RUNNING", 1, next(clock), -1)},
        FakeRest(STATUS),
        SilentScreen(),
        lambda: "0-1-90",
    )
    with pytest.raises(ProgramEnded, match="cdc"):
        run.follow()


def test_nothing_compared_is_no_match() -> None:
    assert not read_status({"epoch": None, "partitions": {}}).all_match


def test_the_outcome_is_one_line_of_json() -> None:
    line = conclude(read_status(STATUS), 12.34).as_json()
    assert "\n" not in line
    assert json.loads(line) == {
        "tables": 2,
        "partitions": 2,
        "rows": 31,
        "epochs": 12,
        "match": 2,
        "mismatch": 0,
        "inconclusive": 0,
        "seconds": 12.3,
    }


def test_the_status_line_leaves_out_verdicts_that_nothing_has() -> None:
    assert status_line(read_status(STATUS)) == "epoch 12  2 tables  2 partitions  31 rows  match 2  lag 0.8 s"


def test_the_status_line_shows_what_is_not_known_as_a_dash() -> None:
    assert status_line(read_status({})) == "epoch -  0 tables  0 partitions  0 rows  lag -"


def test_a_table_without_partitions_is_one_line() -> None:
    names = [comparison.name for comparison in read_comparisons(FINGERPRINTS)]
    assert names == ["ootp.games", "ootp.games date_year=2031", "ootp.games date_year=2032", "ootp.teams"]


def test_what_does_not_match_is_shown_before_what_does() -> None:
    names = [comparison.name for comparison in choose_lines(read_comparisons(FINGERPRINTS), 3)]
    assert names == ["ootp.games", "ootp.games date_year=2032", "ootp.teams"]


def test_the_live_view_names_reasons_and_both_fingerprints() -> None:
    console = Console(file=io.StringIO(), width=160)
    console.print(verdict_table(read_comparisons(FINGERPRINTS), read_status(STATUS), rows_max=2))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "inconclusive: snapshot at 40 %" in text
    assert text.count("9241175013205331968") == 2 or "… 2 more" in text


def test_a_file_gets_one_line_for_each_epoch() -> None:
    output = io.StringIO()
    with open_screen(Console(file=output, width=40)) as screen:
        assert isinstance(screen, Lines)
        for epoch in (11, 11, 12):
            screen.show(read_status(STATUS | {"epoch": epoch}), [])
    assert [line.split("  ")[0] for line in output.getvalue().splitlines()] == ["epoch 11", "epoch 12"]


@pytest.fixture
def rest() -> Iterator[Rest]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeApi)
    server.daemon_threads = False
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Rest(server.server_port)
    server.shutdown()
    thread.join()
    server.server_close()


class FakeApi(BaseHTTPRequestHandler):
    """Answers as the REST service does, but has no fingerprints yet."""

    def do_GET(self) -> None:
        result = self.path == "/v1/status"
        self.send_response(200 if result else 503)
        self.end_headers()
        self.wfile.write(json.dumps(STATUS if result else {}).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class named it
        """Says nothing."""


def test_the_rest_service_is_asked_over_http(rest: Rest) -> None:
    assert rest.status() == read_status(STATUS)


def test_an_error_of_the_rest_service_is_no_answer(rest: Rest) -> None:
    with pytest.raises(NoAnswer, match="status 503"):
        rest.comparisons()


def test_a_rest_service_that_is_away_is_no_answer() -> None:
    with pytest.raises(NoAnswer):
        Rest(1).status()
