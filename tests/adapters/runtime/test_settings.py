"""Secrets come from files or the environment and never show, and connections are safe."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from kafka.errors import SaslAuthenticationFailedError

from datafingerprint.adapters.kafka.clients import connection, translated
from datafingerprint.adapters.runtime.settings import exposed_files, read_settings
from datafingerprint.config import load_settings, secret_names, section_fields
from datafingerprint.errors import ConfigError


@pytest.mark.parametrize(("section", "field"), secret_names())
def test_every_secret_can_be_read_from_a_file_and_is_never_shown(
    section: str, field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_text("hunter2 \n", encoding="utf-8")
    (tmp_path / "named.toml").write_text(f'[{section}]\n{field}_file = "secret"\n', encoding="utf-8")
    monkeypatch.setenv(f"DFP_{section}_{field}_FILE".upper(), "secret")
    for settings in (read_settings(), read_settings("named.toml")):
        assert getattr(getattr(settings, section), field).get_secret_value() == "hunter2 "
        assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump()}"


def test_a_settings_file_that_is_not_utf_8_is_refused_with_the_byte(tmp_path: Path) -> None:
    (tmp_path / "named.toml").write_bytes('[generator]\nschema_name = "Muñoz"\n'.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"named\.toml is not UTF-8, at byte 29: save it as UTF-8"):
        read_settings(str(tmp_path / "named.toml"))


def test_a_secret_that_is_given_twice_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DFP_API_TOKEN", "one")
    monkeypatch.setenv("DFP_API_TOKEN_FILE", "two")
    with pytest.raises(ConfigError, match="both DFP_API_TOKEN and DFP_API_TOKEN_FILE are set"):
        read_settings()


def test_a_secret_whose_file_is_missing_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DFP_STATE_URL_FILE", "nowhere")
    with pytest.raises(ConfigError, match="DFP_STATE_URL_FILE: cannot read nowhere"):
        read_settings()


def test_a_login_reaches_the_client_with_its_mechanism_and_authorities(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.touch()
    kafka = {"security": "sasl_ssl", "user": "dfp", "password": "hunter2", "ca_file": str(authority)}
    assert connection(load_settings({"kafka": kafka}, {}).kafka) == {
        "bootstrap_servers": ["127.0.0.1:9092"],
        "reconnect_backoff_max_ms": 1000,
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "dfp",
        "sasl_plain_password": "hunter2",
        "ssl_cafile": str(authority),
    }


@pytest.mark.parametrize(
    ("kafka", "message"),
    [
        ({"security": "sasl_ssl"}, r"set kafka\.user"),
        ({"security": "ssl", "ca_file": "nowhere.pem"}, r"there is no file nowhere\.pem"),
    ],
)
def test_settings_that_cannot_reach_a_broker_are_refused(kafka: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        connection(load_settings({"kafka": kafka}, {}).kafka)


def test_a_wrong_login_stops_and_is_not_tried_for_ever() -> None:
    with pytest.raises(ConfigError, match="the broker refuses us"), translated(load_settings({}, {}).kafka):
        raise SaslAuthenticationFailedError("no")


def test_an_engines_password_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    config = tmp_path / "c.toml"
    config.write_text(f'[engines.trino]\nhost = "h"\npassword_file = "{tmp_path / "secret"}"\n')
    engine = read_settings(str(config)).engines["trino"]
    assert (engine.host, engine.password.get_secret_value()) == ("h", "s3cret")
    config.write_text(f'[engines.trino]\npassword = "x"\npassword_file = "{tmp_path / "secret"}"\n')
    with pytest.raises(ConfigError, match=r"both engines\.trino\.password and engines\.trino\.password_file are set"):
        read_settings(str(config))


PLACES = [
    ("source", "tls_ca"),
    ("source", "tls_cert"),
    ("source", "tls_key"),
    ("kafka", "ca_file"),
    ("kafka", "cert_file"),
    ("kafka", "key_file"),
    ("s3", "ca_file"),
    ("lake", "catalog_ca_file"),
    ("scratch", "directory"),
    ("health", "file"),
]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a settings file; the process works in another one."""
    (tmp_path / "running").mkdir()
    (tmp_path / "etc").mkdir()
    monkeypatch.chdir(tmp_path / "running")
    return tmp_path / "etc"


@pytest.mark.parametrize(("section", "field"), PLACES)
def test_a_relative_path_of_the_settings_file_is_below_its_directory(
    section: str, field: str, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = elsewhere / "named.toml"
    for given, meant in (("deep/x.pem", f"{elsewhere}/deep/x.pem"), ("/abs/x.pem", "/abs/x.pem"), ("", "")):
        file.write_text(f'[{section}]\n{field} = "{given}"\n', encoding="utf-8")
        assert getattr(getattr(read_settings("../etc/named.toml"), section), field) in {
            meant,
            meant.replace(str(elsewhere), f"{elsewhere.parent}/running/../etc"),
        }
    # A path in a variable is relative to the working directory of the process.
    monkeypatch.setenv(f"DFP_{section}_{field}".upper(), "x.pem")
    assert getattr(getattr(read_settings(str(file)), section), field) == "x.pem"


def test_every_setting_that_names_a_file_is_in_that_list() -> None:
    named = {
        (section, name)
        for section, fields in section_fields().items()
        for name in fields
        if re.search(r"(^|_)(file|ca|cert|key|directory|dir|path)$", name)
    }
    assert named - set(PLACES) == {("s3", "access_key"), ("s3", "secret_key"), ("lake", "path")}


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("sqlite:///data/x.db", "sqlite:///{}/data/x.db"),
        ("sqlite:///x.db?timeout=3", "sqlite:///{}/x.db?timeout=3"),
        ("sqlite+pysqlite:///x.db", "sqlite+pysqlite:///{}/x.db"),
        ("sqlite:////var/x.db", "sqlite:////var/x.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("postgresql://u:p@h/d", "postgresql://u:p@h/d"),
    ],
)
@pytest.mark.parametrize(("section", "field"), [("state", "url"), ("lake", "catalog")])
def test_a_relative_sqlite_file_is_below_the_directory_of_the_settings_file(
    section: str, field: str, given: str, meant: str, elsewhere: Path
) -> None:
    file = elsewhere / "named.toml"
    (elsewhere / "url").write_text(given)
    for text in (f'{field} = "{given}"', f'{field}_file = "url"'):
        file.write_text(f"[{section}]\n{text}\n", encoding="utf-8")
        url = getattr(getattr(read_settings(str(file)), section), field).get_secret_value()
        assert url == meant.format(elsewhere)
    file.write_text("", encoding="utf-8")
    assert str(elsewhere) in getattr(getattr(read_settings(str(file)), section), field).get_secret_value()


def test_the_file_of_a_secret_is_relative_to_the_settings_file(elsewhere: Path) -> None:
    (elsewhere / "secret").write_text("hunter2\n")
    file = elsewhere / "named.toml"
    file.write_text('[source]\npassword_file = "secret"\n[engines.trino]\npassword_file = "secret"\n')
    settings = read_settings(str(file))
    assert settings.source.password.get_secret_value() == "hunter2"
    assert settings.engines["trino"].password.get_secret_value() == "hunter2"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[source]\nport = 'x'\n", "invalid value for setting source.port: input should be a valid integer"),
        ("source = 5\n", "invalid value for setting source: input should be a section"),
        ("[source]\ntables = 'a.*'\n", "invalid value for setting source.tables: input should be a list"),
        ("[[source]]\nport = 1\n", "invalid value for setting source: input should be a section"),
        ("[source]\npassword_file = 5\n", "invalid value for setting source.password_file: write the name of a file"),
        ("[engines.trino]\npassword_file = ['x']\n", "invalid value for setting engines.trino.password_file"),
        ("engines = 5\n", "invalid value for setting engines: input should be a section"),
        ("[state]\nurl = 5\n", "invalid value for setting state.url: input should be a valid string"),
        (
            "[scratch]\ndirectory = false\n",
            "invalid value for setting scratch.directory: input should be a valid string",
        ),
        ("[source]\npassword_file = 'nowhere'\n", "source.password_file: cannot read .*/nowhere .No such file"),
        ("[source]\npassword_file = '.'\n", "source.password_file: cannot read .* .Is a directory"),
    ],
)
def test_a_wrong_type_is_one_line_that_names_the_setting(text: str, message: str, elsewhere: Path) -> None:
    file = elsewhere / "named.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message) as error:
        read_settings(str(file))
    assert "\n" not in str(error.value)
    with contextlib.suppress(ConfigError):
        exposed_files(str(file))


def test_a_secret_that_everybody_may_read_is_named(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, secret, other = elsewhere / "named.toml", elsewhere / "secret", elsewhere / "other"
    for path in (secret, other):
        path.write_text("hunter2\n")
    file.write_text('[source]\npassword_file = "secret"\n[state]\nurl = "sqlite:///x.db"\n')
    for path in (file, secret, other):
        path.chmod(0o640)
    assert exposed_files(str(file)) == ()
    file.chmod(0o644)  # which holds no secret itself
    secret.chmod(0o644)
    assert exposed_files(str(file)) == (secret,)
    monkeypatch.setenv("DFP_API_TOKEN_FILE", str(other))
    other.chmod(0o604)
    assert exposed_files(str(file)) == (other, secret)
    file.write_text('[state]\nurl = "postgresql://u:p@h/d"\n[engines.trino]\npassword_file = "secret"\n')
    assert exposed_files(str(file)) == (file, other, secret)
    file.write_text('[state]\nurl = "postgresql://u@h/d"\n')
    assert exposed_files(str(file)) == (other,)
    file.write_text('[engines.trino]\npassword = "x"\n')
    assert exposed_files(str(file)) == (file, other)
