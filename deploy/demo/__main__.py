"""`python -m deploy.demo`: what `./run demo` does."""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType

import click
from rich.console import Console

from deploy.demo.answers import conclude
from deploy.demo.rest import Rest
from deploy.demo.runner import Demo, ProgramEnded
from deploy.demo.screens import open_screen
from deploy.embedded.blueprint import Blueprint, SourceName
from deploy.embedded.part import PartError, last_lines
from deploy.supervision.__main__ import SOURCES, generator_arguments, report
from deploy.supervision.system import System, system_of

FAILED = 1
INTERRUPTED = 130


@click.command()
@click.option("--games", type=click.IntRange(min=1), help="Games after which the generator ends; else it never does.")
@click.option("--rate", type=click.FloatRange(min=0), help="Games a second; 0 is as fast as possible.")
@click.option("--exit", "exits", is_flag=True, help="End when all games are played and compared; needs --games.")
@click.option("--source", type=click.Choice(SOURCES), default="mariadb", help="The embedded warehouse.")
def cli(games: int | None, rate: float | None, exits: bool, source: SourceName) -> None:  # noqa: FBT001 - click passes it by name
    """Starts everything, generates games and shows the verdicts; Ctrl-C ends it."""
    if exits and games is None:
        raise click.UsageError("--exit needs --games: an endless run has no end to compare")
    for ending in (signal.SIGINT, signal.SIGTERM):
        # Set by hand: a shell that starts a command in the background lets it ignore Ctrl-C.
        signal.signal(ending, _interrupt)
    sys.exit(_play(system_of(source), games, rate, exits=exits))


def _play(system: System, games: int | None, rate: float | None, *, exits: bool) -> int:
    """Runs the demo and stops everything, whatever happens; returns the exit status."""
    began = time.monotonic()
    is_ready = False
    try:
        blueprint = system.start(report, generator=generator_arguments(games), rate=rate)
        is_ready = True
        return _watch(system, blueprint, began, exits=exits)
    except PartError as error:
        report(str(error))
        return FAILED
    except KeyboardInterrupt:
        return 0 if is_ready else INTERRUPTED
    finally:
        _stop(system, started=is_ready)


def _watch(system: System, blueprint: Blueprint, began: float, *, exits: bool) -> int:
    with open_screen(Console()) as screen:
        demo = Demo(system.states, Rest(blueprint.ports["api"]), screen, blueprint.warehouse.gtid)
        try:
            in_time = demo.follow_to_the_end() if exits else demo.follow()
        except ProgramEnded as ended:
            report(explain_end(system, str(ended)))
            return FAILED
    if not in_time:
        report("the lake did not reach the end of the games in time")
    if demo.status is None:
        return FAILED
    click.echo(conclude(demo.status, time.monotonic() - began).as_json())
    return 0 if in_time and demo.status.all_match else FAILED


def _stop(system: System, *, started: bool) -> None:
    _ignore_interrupts()
    if started:
        report("stopping")
        system.stop()


def explain_end(system: System, name: str) -> str:
    """One line: which program ended, and the last thing it said."""
    said = [line.strip() for line in last_lines(system.log(name)) if line.strip()]
    return f"{name} stopped: {said[-1] if said else 'it said nothing'} ({system.log(name)})"


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
