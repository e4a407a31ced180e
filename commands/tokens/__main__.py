"""`datafingerprint tokens`: creates, lists and revokes tokens of the REST service."""

from __future__ import annotations

import contextlib
import getpass
import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import click

from datafingerprint.adapters.runtime.settings import read_settings
from datafingerprint.adapters.state.tokens import SqlTokenStore
from datafingerprint.errors import DataFingerprintError
from datafingerprint.exit_statuses import ExitStatus
from datafingerprint.ports.tokens import Action
from datafingerprint.tokens import NAME_CHARACTERS_MAX, Role, Token, is_name, new_token

DAY_S = 86_400.0
DAYS = 90
DAYS_MAX = 36_500

_config = click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")


@click.group(help="Creates, lists and revokes tokens of the REST service. They are kept in the state store.")
def main() -> None:
    """The group of the three commands."""


@main.command(help="Creates a token for NAME, and prints its secret. The secret is stored nowhere and shown only once.")
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.VIEWER.value,
    show_default=True,
    help="A viewer reads everything. An operator also requests audits, scans and resyncs, and handles incidents.",
)
@click.option(
    "--days", type=click.IntRange(1, DAYS_MAX), default=DAYS, show_default=True, help="Days until it expires."
)
@click.option("--no-expiry", is_flag=True, help="It never expires.")
@_config
def create(name: str, role: str, days: int, config: str | None, *, no_expiry: bool) -> None:
    """Prints the secret alone to the standard output."""
    if not is_name(name):
        raise click.UsageError(f"NAME is printable text of at most {NAME_CHARACTERS_MAX} characters")
    now = time.time()
    secret, token = new_token(name, Role(role), now, None if no_expiry else days * DAY_S)
    with _store(config) as store:
        is_created = store.create(token, _action(f"tokens create {name}", f"role {role}", now))
    if not is_created:
        _refuse(f"a valid token has the name {name}: revoke it first, or choose another name")
    click.echo(f"token {name}, {role}, {_expiry(token)}; the secret is shown only now:", err=True)
    click.echo(secret)


@main.command(name="list", help="Lists all tokens without their secrets, those that expired or were revoked too.")
@_config
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_tokens(config: str | None, *, as_json: bool) -> None:
    """Prints a line for each token, in the order of their creation."""
    with _store(config) as store:
        tokens = store.tokens()
    now = time.time()
    if as_json:
        click.echo(json.dumps([_document(token, now) for token in tokens], indent=2))
        return
    if not tokens:
        click.echo("no token was created: datafingerprint tokens create NAME")
    for token in tokens:
        created = f"created {_moment(token.created_at)}"
        click.echo("  ".join((token.name, token.role.value, token.state(now).value, created, _expiry(token))))


@main.command(help="Revokes the token of NAME. The REST service refuses it within 2 s.")
@click.argument("name")
@_config
def revoke(name: str, config: str | None) -> None:
    """Exit status 2 where there is no such token."""
    with _store(config) as store:
        is_revoked = store.revoke(name, _action(f"tokens revoke {name}", "", time.time()))
    if not is_revoked:
        _refuse(f"no token has the name {name}, or it is revoked already: datafingerprint tokens list")
    click.echo(f"token {name} is revoked")


@contextlib.contextmanager
def _store(config: str | None) -> Iterator[SqlTokenStore]:
    """The store of the settings. Its errors end the command."""
    try:
        settings = read_settings(config)
        with contextlib.closing(SqlTokenStore(settings.state.database.get_secret_value())) as store:
            yield store
    except DataFingerprintError as error:
        _refuse(str(error))


def _refuse(reason: str) -> None:
    click.echo(f"datafingerprint: {reason}", err=True)
    sys.exit(ExitStatus.REFUSED)


def _action(command: str, detail: str, now: float) -> Action:
    """The record of a command: who is the account on this machine."""
    try:
        account = getpass.getuser()
    except (KeyError, OSError):  # an account without an entry in the list of users, as in containers
        account = "unknown account"
    return Action(now, account, "", "", "COMMAND", command, detail)


def _document(token: Token, now: float) -> dict[str, str | None]:
    return {
        "name": token.name,
        "role": token.role.value,
        "state": token.state(now).value,
        "created_at": _moment(token.created_at),
        "expires_at": None if token.expires_at is None else _moment(token.expires_at),
        "revoked_at": None if token.revoked_at is None else _moment(token.revoked_at),
    }


def _expiry(token: Token) -> str:
    return "never expires" if token.expires_at is None else f"expires {_moment(token.expires_at)}"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")


if __name__ == "__main__":
    main()
