"""What is written for the servers before they start."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from datafingerprint.config import environment_names, load_settings
from deploy.embedded.blueprint import Blueprint, draw_blueprint
from deploy.embedded.java import render_properties
from deploy.embedded.part import describe_failure, last_lines
from deploy.embedded.private import make_socket_folder, socket_folder
from deploy.embedded.stack import ANY_PORTS


@pytest.fixture
def blueprint(tmp_path: Path) -> Blueprint:
    return draw_blueprint(tmp_path / "data", ANY_PORTS)


def test_every_variable_is_a_setting_and_all_of_them_load(blueprint: Blueprint) -> None:
    environment = blueprint.environment()
    assert set(environment) <= set(environment_names())
    settings = load_settings({}, environment)
    assert settings.source.port == blueprint.ports["source"]
    assert settings.kafka.bootstrap == f"127.0.0.1:{blueprint.ports['kafka']}"
    assert settings.s3.endpoint == f"http://127.0.0.1:{blueprint.ports['s3']}"
    assert settings.api.port == blueprint.ports["api"]
    assert str(blueprint.directory) in settings.lake.catalog.get_secret_value()
    assert str(blueprint.directory) in settings.state.url.get_secret_value()


def test_the_same_directory_keeps_its_keys_and_another_has_others(tmp_path: Path, blueprint: Blueprint) -> None:
    assert draw_blueprint(blueprint.directory, ANY_PORTS).keys == blueprint.keys
    assert draw_blueprint(tmp_path / "other", ANY_PORTS).keys != blueprint.keys


def test_secrets_are_readable_by_their_owner_only(blueprint: Blueprint) -> None:
    blueprint.s3.prepare()
    for file in ("keys.json", "s3/s3proxy.properties"):
        assert stat.S_IMODE((blueprint.directory / file).stat().st_mode) == 0o600


def test_no_secret_stands_in_a_command_line(blueprint: Blueprint) -> None:
    if not any(Path("/usr/sbin/mariadbd").parent.glob("mariadbd")):
        pytest.skip("no MariaDB here")
    line = " ".join(blueprint.warehouse.command())
    assert blueprint.keys.source_password not in line


def test_properties_survive_a_backslash() -> None:
    assert render_properties({"a": "x\\y", "b": "1"}) == "a=x\\\\y\nb=1\n"


def test_kafka_creates_no_topic_by_itself(blueprint: Blueprint) -> None:
    properties = blueprint.kafka.properties()
    assert properties["auto.create.topics.enable"] == "false"
    assert properties["log.dirs"].startswith(str(blueprint.directory))


def test_the_account_may_write_its_schema_and_only_read_elsewhere(blueprint: Blueprint) -> None:
    sql = blueprint.warehouse.account_sql()
    assert "GRANT ALL ON `ootp`.* TO 'dfp'@'127.0.0.1';" in sql
    assert "GRANT SELECT, RELOAD, REPLICATION SLAVE, BINLOG MONITOR ON *.*" in sql


def test_a_deep_directory_gets_a_short_folder_for_its_sockets() -> None:
    deep = Path("/", *["a-rather-long-name"] * 10)
    assert len(str(socket_folder(deep) / "supervisor.sock")) < 107
    assert socket_folder(deep) == socket_folder(deep)
    assert socket_folder(deep) != socket_folder(deep / "b")


def test_a_folder_for_sockets_that_others_can_open_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "sockets"
    folder.mkdir()
    folder.chmod(0o755)
    with pytest.raises(PermissionError, match="not ours alone"):
        make_socket_folder(folder)


def test_a_failure_names_the_log_and_shows_its_end(tmp_path: Path) -> None:
    log = tmp_path / "kafka.log"
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    assert last_lines(log)[0] == "line 85"
    assert describe_failure("kafka ended", log).startswith(f"kafka ended; its log {log} ends with:\n  line 85")
    assert last_lines(tmp_path / "none.log") == []
