"""`datafingerprint tokens`: what it prints, what it stores, and its exit statuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from commands.__main__ import main
from datafingerprint.adapters.state.tokens import SqlTokenStore
from datafingerprint.tokens import PREFIX, digest


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/state.db"


def run(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ("tokens", *arguments), env={"DFP_STATE_URL": url})


def test_a_secret_is_printed_once_and_stored_as_a_digest(url: str, tmp_path: Path) -> None:
    created = run(url, "create", "night shift", "--role", "operator", "--days", "7")
    assert created.exit_code == 0
    secret = created.stdout.strip()
    assert secret.startswith(PREFIX)
    assert "\n" not in secret
    assert "night shift, operator, expires " in created.stderr
    listed = run(url, "list")
    (token,) = json.loads(run(url, "list", "--json").stdout)
    assert (token["name"], token["role"], token["state"], token["revoked_at"]) == (
        "night shift", "operator", "valid", None,
    )  # fmt: skip
    assert listed.stdout.startswith("night shift  operator  valid  created ")
    assert secret not in listed.output
    store = SqlTokenStore(url)
    assert [token.digest for token in store.tokens()] == [digest(secret)]
    assert [(action.method, action.path) for action in store.actions(limit=9)] == [
        ("COMMAND", "tokens create night shift")
    ]
    store.close()
    files = [path.read_bytes() for path in tmp_path.iterdir()]
    assert files
    assert not [data for data in files if secret.encode() in data]


def test_a_name_is_taken_until_its_token_is_revoked(url: str) -> None:
    assert run(url, "create", "grafana", "--no-expiry").exit_code == 0
    again = run(url, "create", "grafana")
    assert (again.exit_code, again.stdout) == (2, "")
    assert "a valid token has the name grafana" in again.stderr
    assert run(url, "revoke", "grafana").exit_code == 0
    assert run(url, "revoke", "grafana").exit_code == 2
    assert run(url, "create", "grafana").exit_code == 0
    assert [line.split("  ")[2] for line in run(url, "list").stdout.splitlines()] == ["revoked", "valid"]


def test_nothing_is_created_from_bad_input(url: str) -> None:
    for arguments in (["x" * 101], ["a\n"], [""], ["a", "--role", "admin"], ["a", "--days", "0"]):
        assert run(url, "create", *arguments).exit_code == 2
    assert "tokens create NAME" in run(url, "list").stdout
    assert run("nosuch://x", "list").exit_code == 2


@pytest.mark.parametrize("command", ["create", "list", "revoke"])
def test_every_command_explains_itself(url: str, command: str) -> None:
    shown = run(url, command, "--help")
    assert (shown.exit_code, "--config" in shown.stdout) == (0, True)
