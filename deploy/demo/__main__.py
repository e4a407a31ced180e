"""`python -m deploy.demo`: what `./run demo` does."""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType

import click
from rich.console import Console

from datafingerprint.exit_statuses import ExitStatus
from deploy.demo.answers import conclude
from deploy.demo.rest import Rest
from deploy.demo.runner import Demo, ProgramEnded
from deploy.demo.screens import open_screen
from deploy.embedded.blueprint import Blueprint, SourceName
from deploy.embedded.part import PartError, last_lines
from deploy.supervision.__main__ import SOURCES, choose_patience, generator_arguments, report
from deploy.supervision.system import System, system_of


@click.command()
@click.option("--games", type=click.IntRange(min=1), help="Games after which the generator ends; else it never does.")
@click.option("--rate", type=click.FloatRange(min=0), help="Games a second; 0 is as fast as possible.")
@click.option("--exit", "exits", is_flag=True, help="End when all games are played and compared; needs --games.")
@click.option("--source", type=click.Choice(SOURCES), default="mariadb", help="The embedded warehouse.")
@choose_patience
def cli(
    games: int | None,
    rate: float | None,
    exits: bool,  # noqa: FBT001 - click passes it by name
    source: SourceName,
    start_within: float,
) -> None:
    """Starts everything, generates games and shows the verdicts; Ctrl-C ends it."""
    if exits and games is None:
        raise click.UsageError("--exit needs --games: an endless run has no end to compare")
    for ending in (signal.SIGINT, signal.SIGTERM):
        # Set by hand: a shell that starts a command in the background lets it ignore Ctrl-C.
        signal.signal(ending, _interrupt)
    sys.exit(_play(system_of(source), games, rate, start_within, exits=exits))


def _play(system: System, games: int | None, rate: float | None, start_within: float, *, exits: bool) -> ExitStatus:
    """Runs the demo and stops everything in any case.

    Returns:
        The exit status.
    """
    began = time.monotonic()
    is_ready = False
    try:
        arguments = generator_arguments(games)
        blueprint = system.start(report, generator=arguments, rate=rate, within_s=start_within)
        is_ready = True
        return _watch(system, blueprint, began, exits=exits)
    except PartError as error:
        report(str(error))
        return ExitStatus.FAILED
    except KeyboardInterrupt:
        return ExitStatus.OK if is_ready else ExitStatus.CANCELLED
    finally:
        _stop(system, started=is_ready)


def _watch(system: System, blueprint: Blueprint, began: float, *, exits: bool) -> ExitStatus:
    with open_screen(Console()) as screen:
        demo = Demo(system.states, Rest(blueprint.ports["api"]), screen, blueprint.warehouse.gtid)
        try:
            in_time = demo.follow_to_the_end() if exits else demo.follow()
        except ProgramEnded as ended:
            report(explain_end(system, str(ended)))
            return ExitStatus.FAILED
    if not in_time:
        report("the lake did not reach the end of the games in time")
    if demo.status is None:
        return ExitStatus.FAILED
    click.echo(conclude(demo.status, time.monotonic() - began).as_json())
    return ExitStatus.OK if in_time and demo.status.all_match else ExitStatus.FAILED


def _stop(system: System, *, started: bool) -> None:
    _ignore_interrupts()
    if started:
        report("stopping")
        system.stop()


def explain_end(system: System, name: str) -> str:
    """One line: the ended program and its last log line."""
    lines = [line.strip() for line in last_lines(system.log(name)) if line.strip()]
    return f"{name} stopped: {lines[-1] if lines else 'it logged nothing'} ({system.log(name)})"


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    del signal_number, frame
    _ignore_interrupts()
    raise KeyboardInterrupt


def _ignore_interrupts() -> None:
    # An impatient second Ctrl-C must not leave half of the system behind.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.SIG_IGN)


if __name__ == "__main__":
    cli()
