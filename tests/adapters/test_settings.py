"""Secrets come from files as well as from the environment, and never show; brokers and buckets are reached safely."""

from __future__ import annotations

from pathlib import Path

import pytest
from kafka.errors import SaslAuthenticationFailedError

from datafingerprint.adapters.kafka_clients import connection, translated
from datafingerprint.adapters.settings import read_settings
from datafingerprint.config import load_settings, secret_names
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


def test_a_settings_file_that_is_no_utf_8_is_refused_where_it_is_none(tmp_path: Path) -> None:
    (tmp_path / "named.toml").write_bytes('[generator]\nschema_name = "Muñoz"\n'.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"named\.toml is no UTF-8, at byte 29: save it as UTF-8"):
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


def test_a_login_is_handed_to_the_client_with_its_mechanism_and_authorities(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.touch()
    kafka = {"security": "sasl_ssl", "user": "dfp", "password": "hunter2", "ca_file": str(authority)}
    assert connection(load_settings({"kafka": kafka}, {}).kafka) == {
        "bootstrap_servers": ["127.0.0.1:9092"],
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "dfp",
        "sasl_plain_password": "hunter2",
        "ssl_cafile": str(authority),
    }


@pytest.mark.parametrize(
    ("kafka", "said"),
    [
        ({"security": "sasl_ssl"}, r"set kafka\.user"),
        ({"security": "ssl", "ca_file": "nowhere.pem"}, r"there is no file nowhere\.pem"),
    ],
)
def test_settings_that_cannot_reach_a_broker_are_refused(kafka: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        connection(load_settings({"kafka": kafka}, {}).kafka)


def test_a_wrong_login_stops_and_is_not_tried_for_ever() -> None:
    with pytest.raises(ConfigError, match="the broker refuses us"), translated(load_settings({}, {}).kafka):
        raise SaslAuthenticationFailedError("no")


def test_an_engines_password_may_lie_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    config = tmp_path / "c.toml"
    config.write_text(f'[engines.trino]\nhost = "h"\npassword_file = "{tmp_path / "secret"}"\n')
    engine = read_settings(str(config)).engines["trino"]
    assert (engine.host, engine.password.get_secret_value()) == ("h", "s3cret")
    config.write_text(f'[engines.trino]\npassword = "x"\npassword_file = "{tmp_path / "secret"}"\n')
    with pytest.raises(ConfigError, match=r"both engines\.trino\.password and engines\.trino\.password_file are set"):
        read_settings(str(config))
