"""`python -m services.generator`: plays the simulated league into the warehouse."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from pathlib import Path

import click
import structlog

from datafingerprint.adapters.kafka.services import KafkaReportLog
from datafingerprint.adapters.mysql.warehouse import MysqlWarehouse
from datafingerprint.adapters.runtime.health_file import HealthFile
from datafingerprint.adapters.runtime.logging import configure_logging
from datafingerprint.adapters.runtime.service_reporter import ServiceReporter
from datafingerprint.adapters.runtime.settings import read_settings
from datafingerprint.config import Settings
from datafingerprint.errors import Stop
from datafingerprint.exit_statuses import ExitStatus
from services.generator.loop import Loop, Orders
from services.generator.numbers import COPIES_MAX


@click.command()
@click.option("--config", type=click.Path(dir_okay=False), help="Settings file; datafingerprint.toml by default.")
@click.option("--games", type=click.IntRange(min=0), help="End after this many games; by default never.")
@click.option("--days", type=click.IntRange(min=0), help="End after this many days of the league; by default never.")
@click.option("--rate", type=click.FloatRange(min=0), help="Games a second; 0 is without a pause.")
@click.option("--burst", type=click.IntRange(min=0), help="Games of a burst, played without a pause; 0 is no bursts.")
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
    help="Number of copies of the league, under new numbers; existing copies are kept.",
)
@click.option("--seed-only", is_flag=True, help="Load the seed files if they are missing, and end.")
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

    First loads the league, or an export, if it is missing. SIGTERM and Ctrl-C end it after the open transaction, a
    second Ctrl-C at once. The next start continues there. Exit status 0: done, or ended by a signal; 2: refused, with
    the reason in one line.
    """
    try:
        settings = read_settings(config)
        reporter = ServiceReporter("generator", KafkaReportLog(settings.kafka), needs_broker=False)
        log = configure_logging(settings.log, "generator", reporter.doing)
        orders = Orders(
            games=games,
            days=days,
            burst_games=settings.generator.burst_games if burst is None else burst,
            burst_every_s=settings.generator.burst_every_s,
            rate=settings.generator.rate if rate is None else rate,
            seed=settings.generator.seed if seed is None else seed,
        )
        # A load ends by itself, so it is not a service.
        with contextlib.nullcontext() if seed_only else reporter.reporting(log):
            _run(settings, orders, seed_dir, scale, log, reporter, seed_only=seed_only)
    except Stop as error:
        click.echo(f"generator: {error}", err=True)
        sys.exit(ExitStatus.REFUSED)


def _run(
    settings: Settings,
    orders: Orders,
    seed_dir: Path | None,
    scale: int,
    log: structlog.stdlib.BoundLogger,
    reporter: ServiceReporter,
    *,
    seed_only: bool,
) -> None:
    stopping = HealthFile(settings.health.file)

    def stop(number: int, _: object) -> None:
        # In a thread: the handler interrupts the main thread, which may hold the event's lock.
        threading.Thread(target=stopping.set, daemon=True).start()
        if number == signal.SIGINT:  # the second one ends the process, and the server rolls back what is open
            signal.signal(signal.SIGINT, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    warehouse = MysqlWarehouse(settings.source, settings.generator.schema_name)
    loop = Loop(
        warehouse,
        orders,
        stopping,
        log,
        seed_dir,
        only_load=seed_only,
        copies=scale,
        on_away=reporter.retrying,
        on_well=reporter.beat,
    )
    try:
        loop.prepare()
        if not seed_only:
            loop.run()
    finally:
        warehouse.close()


if __name__ == "__main__":
    main()
