"""`python -m deploy.supervision`: `./run up`, `down`, `status`, `restart` and `reset`."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable

import click
from rich.console import Console

from datafingerprint.exit_statuses import ExitStatus
from deploy.embedded.blueprint import SourceName
from deploy.embedded.part import PartError
from deploy.embedded.starting import START_WITHIN_S
from deploy.supervision.status_table import status_rows, status_table
from deploy.supervision.system import system_of

WIDE = 200


SOURCES: tuple[SourceName, ...] = ("mariadb", "mysql")


def choose_source(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the option for the warehouse to a command."""
    option = click.option("--source", type=click.Choice(SOURCES), help="The embedded warehouse; by default the one up.")
    return option(command)


def choose_patience(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the option for the limit of a start to a command."""
    option = click.option(
        "--start-within",
        type=click.FloatRange(min=0, min_open=True),
        default=START_WITHIN_S,
        show_default=True,
        metavar="SECONDS",
        envvar="RUN_START_WITHIN_S",
        help="The most that each part may take to start; also as RUN_START_WITHIN_S.",
    )
    return option(command)


@click.group()
def cli() -> None:
    """Starts, stops and shows the embedded system."""


@cli.command()
@choose_source
@click.option("--games", type=click.IntRange(min=1), help="Games after which the generator ends; else it never does.")
@click.option("--rate", type=click.FloatRange(min=0), help="Games a second; 0 is as fast as possible.")
@click.option("--no-generator", is_flag=True, help="Start everything but the generator.")
@choose_patience
def up(
    games: int | None,
    rate: float | None,
    no_generator: bool,  # noqa: FBT001 - click passes it by name
    source: SourceName | None,
    start_within: float,
) -> None:
    """Starts all parts and services in the background."""
    arguments = None if no_generator else generator_arguments(games)
    try:
        system_of(source).start(report, generator=arguments, rate=rate, within_s=start_within)
    except PartError as error:
        raise click.ClickException(str(error)) from None


@cli.command()
@choose_source
def down(source: SourceName | None) -> None:
    """Stops all, the last started first."""
    report("stopped" if system_of(source).stop() else "nothing was running")


@cli.command()
@choose_source
def status(source: SourceName | None) -> None:
    """Shows every part; the exit status is 0 only when the system is up."""
    system = system_of(source)
    states = system.states()
    if not system.programs():
        report("nothing was started here yet")
    console = Console()
    # In a file or pipe every row stays one line.
    width = console.width if console.is_terminal else WIDE
    Console(width=width).print(status_table(status_rows(system.programs(), states, time.time())))
    sys.exit(ExitStatus.OK if states else ExitStatus.FAILED)


@cli.command()
@choose_source
@click.argument("name", metavar="SERVICE")
def restart(name: str, source: SourceName | None) -> None:
    """Ends one part or service, if it runs, and starts it again."""
    try:
        state = system_of(source).restart(name)
    except PartError as error:
        raise click.ClickException(str(error)) from None
    report(f"{name} was started again (process {state.pid})")


@cli.command()
@choose_source
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(yes: bool, source: SourceName | None) -> None:  # noqa: FBT001 - click passes it by name
    """Stops all and deletes the data: warehouse, broker, lake, state and logs."""
    system = system_of(source)
    if not yes and not sys.stdin.isatty():
        raise click.ClickException("this deletes all data: add --yes")
    if not yes:
        click.confirm(f"delete all data in {system.directory}?", abort=True, err=True)
    system.stop()
    shutil.rmtree(system.directory, ignore_errors=True)
    report(f"deleted {system.directory}")


def generator_arguments(games: int | None) -> tuple[str, ...]:
    """The generator's arguments."""
    return () if games is None else ("--games", str(games))


def report(line: str) -> None:
    """Prints a line about progress; standard output is for results."""
    click.echo(line, err=True)


if __name__ == "__main__":
    cli()
