"""What docs/install.md says agrees with the project, and systemd accepts the units."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from commands.__main__ import COMMANDS, Commands, main
from datafingerprint.adapters.runtime.settings import read_settings
from tests.deploy.install_page import PAGE, UNITS, block, unit_values

SERVICES = sorted(UNITS.glob("*.service"))
ANALYZE = shutil.which("systemd-analyze")
LONG_RUNNING = {"capture", "write-lake", "fingerprint", "audit", "notify", "serve"}


def test_there_is_a_unit_for_every_service_and_the_target_wants_each() -> None:
    named = {file.name.removeprefix("datafingerprint-").removesuffix("@.service") for file in SERVICES}
    assert named == LONG_RUNNING
    target = (UNITS / "datafingerprint@.target").read_text()
    wanted = {unit for line in unit_values(target, "Wants") for unit in line.split()}
    assert wanted == {file.name.replace("@.", "@%i.") for file in SERVICES}
    assert set(re.findall(r"datafingerprint-([a-z-]+)@shop", PAGE)) == LONG_RUNNING


@pytest.mark.parametrize("file", SERVICES, ids=lambda file: file.stem)
def test_a_unit_starts_its_service_again_unless_it_refused(file: Path) -> None:
    text = file.read_text()
    assert unit_values(text, "Restart") == ["on-failure"]
    assert unit_values(text, "RestartPreventExitStatus") == ["2"]
    assert unit_values(text, "PartOf") == ["datafingerprint@%i.target"]
    (line,) = unit_values(text, "ExecStart")
    program, name, *arguments = shlex.split(line)
    assert (program, f"datafingerprint-{name}@.service") == ("/opt/datafingerprint/bin/datafingerprint", file.name)
    assert isinstance(main, Commands)
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.make_context(name, arguments).params["config"] == "/etc/datafingerprint/%i.toml"


@pytest.mark.skipif(ANALYZE is None, reason="no systemd here")
def test_systemd_finds_nothing_to_complain_of(tmp_path: Path) -> None:
    for file in UNITS.iterdir():
        text = file.read_text().replace("/opt/datafingerprint/bin/datafingerprint", sys.executable)
        (tmp_path / file.name).write_text(text)
    files = [str(file) for file in sorted(tmp_path.iterdir())]
    done = subprocess.run([str(ANALYZE), "verify", *files], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_policy_of_the_key_is_what_the_operators_page_says() -> None:
    statements = json.loads(block("json", "bucket"))["Statement"]
    allowed = {action.removeprefix("s3:") for statement in statements for action in statement["Action"]}
    said = (UNITS.parents[1] / "docs" / "running.md").read_text()
    (line,) = [line for line in said.splitlines() if line.startswith("| S3 |")]
    assert allowed == set(re.findall(r"`(\w+)`", line)) & {"ListBucket", "GetObject", "PutObject", "DeleteObject"}
    assert len(allowed) == 4


def test_every_command_has_its_exit_statuses() -> None:
    table = PAGE.partition("## Exit statuses")[2]
    for name in [*COMMANDS, "status"]:
        assert f"`{name.replace('export-catalog', 'export-…').replace('export-glue', 'export-…')}" in table or (
            name.startswith("export-") and "`export-…`" in table
        ), name


WRONG = {
    "a value of a wrong type": ("[source]\nport = 'x'\n", "invalid value for setting source.port"),
    "a section that is none": ("source = 5\n", "invalid value for setting source: input should be a section"),
    "a secret that is not there": ("[source]\npassword_file = 'no'\n", "source.password_file: cannot read"),
    "a key that is not known": ("[source]\nhots = 'x'\n", "unknown setting source.hots: did you mean host?"),
    "no TOML": ("[source\n", "is not TOML"),
}


@pytest.mark.parametrize("name", sorted({*LONG_RUNNING, "doctor", "generate", "status", "sql", "tail"}))
def test_each_command_names_what_is_wrong_in_the_settings_file_in_one_line(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    more = {"audit": ["--serve"], "sql": ["mariadb", "a.b"], "tail": ["a.b"]}.get(name, [])
    file = tmp_path / "named.toml"
    for text, said in WRONG.values():
        file.write_text(text)
        with pytest.raises(SystemExit) as ended:
            main.main([name, *more, "--config", str(file)], standalone_mode=False)
        (line,) = capfd.readouterr().err.splitlines()
        assert (ended.value.code, said in line) == (2, True), line


def test_the_settings_of_the_page_are_settings(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    for name in ("source-password", "s3-secret-key"):
        (tmp_path / "shop" / name).write_text("x\n")
    (tmp_path / "shop.toml").write_text(block("toml", "settings"))
    settings = read_settings(str(tmp_path / "shop.toml"))
    assert settings.source.password.get_secret_value() == "x"
    assert settings.tables["shop.orders"].partition == ("year(placed)",)
