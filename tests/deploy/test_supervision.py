"""The supervisor's configuration, and what is shown of its programs."""

from __future__ import annotations

import configparser
import subprocess
from pathlib import Path

import pytest

from deploy.embedded.part import PartError
from deploy.embedded.starting import Patience
from deploy.embedded.waiting import await_condition
from deploy.supervision.programs import Program, render_configuration
from deploy.supervision.start_up import has_failed
from deploy.supervision.status_table import status_rows, uptime
from deploy.supervision.supervisor import ProgramState, Supervisor
from deploy.supervision.system import System, render_environment, settings_in


def program(name: str, *, expected: tuple[int, ...] = (0, 2)) -> Program:
    return Program(
        name=name, command=("/bin/echo", "a b", "50%"), log=Path("/l/x.log"), port=1, expected_statuses=expected
    )


def state(name: str, kind: str, *, exit_status: int = 0) -> ProgramState:
    return ProgramState(name=name, state=kind, pid=7, started=1_000, exit_status=exit_status)


def render(*programs: Program) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser()
    parser.read_string(
        render_configuration(programs, checkout=Path("/c"), data=Path("/c/data"), sockets=Path("/run/s"))
    )
    return parser


def test_programs_start_on_demand_in_their_order() -> None:
    parser = render(program("cdc"), program("api"))
    assert parser["program:cdc"]["autostart"] == "false"
    assert int(parser["program:cdc"]["priority"]) < int(parser["program:api"]["priority"])


def test_a_refusal_is_not_tried_again_but_a_crash_is() -> None:
    section = render(program("cdc"))["program:cdc"]
    assert section["autorestart"] == "unexpected"
    assert section["exitcodes"] == "0,2"
    assert section["startsecs"] == "0"


def test_a_part_that_ends_with_an_error_is_started_again() -> None:
    assert render(program("kafka", expected=(0,)))["program:kafka"]["exitcodes"] == "0"


def test_an_argument_with_a_blank_or_a_percent_sign_stays_one_argument() -> None:
    assert render(program("cdc"))["program:cdc"]["command"].endswith("/bin/echo 'a b' 50%%")


def test_the_socket_is_for_its_owner_only() -> None:
    section = render(program("cdc"))["unix_http_server"]
    assert section["file"] == "/run/s/supervisor.sock"
    assert section["chmod"] == "0600"


def test_only_the_generator_may_be_done() -> None:
    assert not has_failed(state("generator", "EXITED"))
    assert has_failed(state("generator", "EXITED", exit_status=2))
    assert has_failed(state("cdc", "EXITED"))
    assert has_failed(state("kafka", "FATAL"))
    assert not has_failed(state("cdc", "RUNNING"))


def test_the_environment_is_quoted_for_a_shell() -> None:
    assert render_environment({"DFP_B": "x y", "DFP_A": "1"}, {}) == "export DFP_A=1\nexport DFP_B='x y'\n"


def test_a_command_gets_the_settings_that_the_system_was_started_with_and_keeps_its_own(tmp_path: Path) -> None:
    started_with = {"DFP_SOURCE_TABLES": "a b.*", "DFP_CDC_EPOCH_S": "3", "DFP_API_PORT": "1", "HOME": "/h"}
    file = tmp_path / "environment"
    file.write_text(render_environment({"DFP_API_PORT": "2"}, settings_in(started_with)), encoding="utf-8")
    shown = subprocess.run(
        ["/bin/bash", "-euc", f"source {file}; env"], env={"DFP_CDC_EPOCH_S": "7"}, capture_output=True, check=True
    )
    lines = shown.stdout.decode().splitlines()
    assert {"DFP_SOURCE_TABLES=a b.*", "DFP_CDC_EPOCH_S=7", "DFP_API_PORT=2"} <= set(lines)
    assert "HOME=/h" not in lines


def test_the_status_names_what_runs_what_rests_and_what_refused() -> None:
    listed = [{"name": name, "port": "1", "log": "/l"} for name in ("mariadb", "cdc", "api")]
    states = {
        "mariadb": state("mariadb", "RUNNING"),
        "cdc": state("cdc", "EXITED", exit_status=2),
        "api": state("api", "STOPPED"),
    }
    rows = status_rows(listed, states, now=1_065)
    assert rows[0] == ("mariadb", "running", "7", "1 min 5 s", "1", "/l")
    assert rows[1] == ("cdc", "exited with 2", "", "", "1", "/l")
    assert rows[2] == ("api", "stopped", "", "", "1", "/l")


def test_an_uptime_has_two_units() -> None:
    assert [uptime(seconds) for seconds in (-1, 59, 60, 7_260, 90_000)] == [
        "0 s",
        "59 s",
        "1 min 0 s",
        "2 h 1 min",
        "1 d 1 h",
    ]


def test_a_system_that_was_never_started_is_down(tmp_path: Path) -> None:
    assert not Supervisor(tmp_path / "none.sock").is_up
    system = System(tmp_path / "data")
    assert system.states() == {}
    assert system.programs() == []
    assert system.stop() is False


def test_nothing_of_a_system_that_is_down_can_be_started_again(tmp_path: Path) -> None:
    with pytest.raises(PartError, match="the system is down"):
        System(tmp_path / "data").restart("cdc")


@pytest.mark.live
# No process waits for the supervisor: it is to outlive the command that launched it.
@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_a_program_is_started_again_whether_it_runs_or_has_ended(tmp_path: Path) -> None:
    logs, sockets = tmp_path / "logs", tmp_path
    logs.mkdir()
    sleeping = Program("sleeping", ("sleep", "600"), logs / "sleeping.log", None, (0, 2))
    refusing = Program("refusing", ("false",), logs / "refusing.log", None, (0, 1))
    configuration = tmp_path / "supervisord.conf"
    text = render_configuration([sleeping, refusing], checkout=tmp_path, data=tmp_path, sockets=sockets)
    configuration.write_text(text, encoding="utf-8")
    supervisor = Supervisor(sockets / "supervisor.sock")
    supervisor.launch(configuration, logs / "supervisor.out", {}, tmp_path, Patience())
    try:
        for item in (sleeping, refusing):
            supervisor.start(item.name)
        assert await_condition(lambda: supervisor.states()["refusing"].is_over, timeout_s=20)
        before = supervisor.states()
        for item in (sleeping, refusing):
            supervisor.restart(item.name)
        assert await_condition(lambda: supervisor.states()["refusing"].is_over, timeout_s=20)
        after = supervisor.states()
        assert after["sleeping"].is_running
        assert after["sleeping"].pid != before["sleeping"].pid
        assert after["refusing"].started >= before["refusing"].started
        with pytest.raises(PartError, match="nobody"):
            supervisor.restart("nobody")
    finally:
        supervisor.shut_down()
