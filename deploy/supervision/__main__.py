"""`python -m deploy.supervision`: what `./run up`, `down`, `status` and `reset` do."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable

import click
from rich.console import Console

from deploy.embedded.blueprint import SourceName
from deploy.embedded.part import PartError
from deploy.supervision.status_table import status_rows, status_table
from deploy.supervision.system import system_of

WIDE = 200


SOURCES: tuple[SourceName, ...] = ("mariadb", "mysql")


def choose_source(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the option that names the warehouse."""
    option = click.option("--source", type=click.Choice(SOURCES), help="The embedded warehouse; by default the one up.")
    return option(command)


@click.group()
def cli() -> None:
    """Starts, stops and shows the embedded system."""


@cli.command()
@choose_source
@click.option("--games", type=click.IntRange(min=1), help="Games after which the generator ends; else it never does.")
@click.option("--rate", type=click.FloatRange(min=0), help="Games a second; 0 is as fast as possible.")
@click.option("--no-generator", is_flag=True, help="Start everything but the generator.")
def up(games: int | None, rate: float | None, no_generator: bool, source: SourceName | None) -> None:  # noqa: FBT001 - click passes it by name
    """Starts all parts and services in the background."""
    arguments = None if no_generator else generator_arguments(games)
    try:
        system_of(source).start(report, generator=arguments, rate=rate)
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
    sys.exit(0 if states else 1)


@cli.command()
@choose_source
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(yes: bool, source: SourceName | None) -> None:  # noqa: FBT001 - click passes it by name
    """Stops all and deletes the data: warehouse, broker, lake, state and logs."""
    system = system_of(source)
    if not yes and not sys.stdin.isatty():
        raise click.ClickException("this deletes all data: say --yes")
    if not yes:
        click.confirm(f"delete all data in {system.directory}?", abort=True, err=True)
    system.stop()
    shutil.rmtree(system.directory, ignore_errors=True)
    report(f"deleted {system.directory}")


def generator_arguments(games: int | None) -> tuple[str, ...]:
    """What the generator is called with."""
    return () if games is None else ("--games", str(games))


def report(line: str) -> None:
    """A line about progress: standard output is kept for results."""
    click.echo(line, err=True)


if __name__ == "__main__":
    cli()
