"""`python -m services.generator`: plays the simulated league into the warehouse."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

import click
import structlog

from datafingerprint.adapters.logging import configure_logging
from datafingerprint.adapters.pulse import Pulse
from datafingerprint.adapters.settings import read_settings
from datafingerprint.adapters.warehouse import MysqlWarehouse
from datafingerprint.config import Settings
from datafingerprint.errors import Stop
from services.generator.loop import Loop, Orders
from services.generator.numbers import COPIES_MAX

REFUSED = 2


@click.command()
@click.option("--config", type=click.Path(dir_okay=False), help="Settings file; else datafingerprint.toml.")
@click.option("--games", type=click.IntRange(min=0), help="End after this many games; else never.")
@click.option("--days", type=click.IntRange(min=0), help="End when this many days of the league are over; else never.")
@click.option("--rate", type=click.FloatRange(min=0), help="Games a second; 0 is as fast as it goes.")
@click.option("--burst", type=click.IntRange(min=0), help="Games of a burst, played without a pause; 0 is none.")
@click.option("--seed", type=int, help="Seed of the league; the same seed plays the same games.")
@click.option(
    "--seed-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of an export's .sql files, to load instead of the made-up league.",
)
@click.option(
    "--scale",
    type=click.IntRange(1, COPIES_MAX),
    default=1,
    help="Copies of the league under new numbers; what is there already is not taken away.",
)
@click.option("--seed-only", is_flag=True, help="Load the seed files if need be, and end.")
def main(
    config: str | None,
    games: int | None,
    days: int | None,
    rate: float | None,
    burst: int | None,
    seed: int | None,
    seed_dir: Path | None,
    scale: int,
    *,
    seed_only: bool,
) -> None:
    """Plays a simulated baseball league into the warehouse, game by game.

    Loads the league, or an export, first, unless it is there. SIGTERM and Ctrl-C end it after the open transaction, a
    second Ctrl-C at once; the next start goes on from there. Status 0: done, or ended so; 2: refused, with one line
    that says why.
    """
    try:
        settings = read_settings(config)
        configure_logging(settings.log, "generator")
        orders = Orders(
            games=games,
            days=days,
            burst_games=settings.generator.burst_games if burst is None else burst,
            burst_every_s=settings.generator.burst_every_s,
            rate=settings.generator.rate if rate is None else rate,
            seed=settings.generator.seed if seed is None else seed,
        )
        _run(settings, orders, seed_dir, scale, seed_only=seed_only)
    except Stop as error:
        click.echo(f"generator: {error}", err=True)
        sys.exit(REFUSED)


def _run(settings: Settings, orders: Orders, seed_dir: Path | None, scale: int, *, seed_only: bool) -> None:
    stopping = Pulse(settings.health.file)

    def stop(number: int, _: object) -> None:
        # From a thread of its own: the handler runs inside the main one, which may hold the event's lock.
        threading.Thread(target=stopping.set, daemon=True).start()
        if number == signal.SIGINT:  # the second one ends the process, and the server rolls back what is open
            signal.signal(signal.SIGINT, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    warehouse = MysqlWarehouse(settings.source, settings.generator.schema_name)
    log = structlog.get_logger(service="generator")
    loop = Loop(warehouse, orders, stopping, log, seed_dir, only_load=seed_only, copies=scale)
    try:
        loop.prepare()
        if not seed_only:
            loop.run()
    finally:
        warehouse.close()


if __name__ == "__main__":
    main()
