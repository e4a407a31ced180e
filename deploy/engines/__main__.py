"""`./run engine trino|presto`: a query engine over lake and warehouse of the running system."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import click

from deploy.embedded.part import PartError, describe_failure
from deploy.embedded.ports import is_free
from deploy.embedded.process import Process, end_with_parent
from deploy.embedded.waiting import await_condition
from deploy.engines.presto import Presto
from deploy.engines.system import LAKE, SOURCE, System
from deploy.engines.trino import Trino

READY_WITHIN_S = 240.0
PORT = 8080


@click.command(help="Starts ENGINE over the lake and the warehouse of the system that is up, until Ctrl-C.")
@click.argument("engine", type=click.Choice(["trino", "presto"]))
@click.option("--port", type=click.IntRange(1, 65535), default=PORT, show_default=True, help="Where it listens.")
@click.option(
    "--source", type=click.Choice(["mariadb", "mysql"]), help="The kind of the warehouse; detected by default."
)
def main(engine: str, port: int, source: str | None) -> None:
    """Runs the engine. Its settings and logs are in a temporary folder."""
    if "DFP_S3_ENDPOINT" not in os.environ:
        raise click.ClickException("the system is not up: ./run up")
    if not is_free(port):
        raise click.ClickException(f"port {port} is taken: choose another one with --port")
    with tempfile.TemporaryDirectory(prefix=f"dfp-{engine}-") as folder:
        try:
            _serve(engine, Path(folder), port, source)
        except PartError as error:
            raise click.ClickException(str(error)) from None
        except KeyboardInterrupt:
            click.echo("stopping")


def _serve(engine: str, folder: Path, port: int, source: str | None) -> None:
    system = System.of(os.environ, source)
    part = Trino(folder / engine, port, system) if engine == "trino" else Presto(folder / engine, port, system)
    part.prepare()
    follower = _follow_catalog(part) if isinstance(part, Presto) else None
    process = Process(part.command(), folder / f"{engine}.log")
    try:
        click.echo(f"starting {engine}")
        await_condition(lambda: not process.is_running or part.is_ready(), timeout_s=READY_WITHIN_S, pause_s=0.5)
        if not process.is_running or not part.is_ready():
            raise PartError(describe_failure(f"{engine} does not answer", process.log))
        click.echo(f"up: {part.endpoint}, catalogs {LAKE} and {SOURCE}; Ctrl-C ends it")
        click.echo(f"query it in another terminal: ./run cli {engine} --port {port}")
        ended = threading.Event()
        while process.is_running and not ended.wait(1):
            pass
        raise PartError(describe_failure(f"{engine} ended", process.log))
    finally:
        process.stop()
        if follower is not None:
            follower.terminate()
            follower.wait()


def _follow_catalog(presto: Presto) -> subprocess.Popen[bytes]:
    """Exports every commit to Presto, which does not read the lake's catalog."""
    command = [sys.executable, "-m", "commands", "export-catalog", presto.metastore, "--follow"]
    return subprocess.Popen([*end_with_parent("TERM"), *command], stdout=subprocess.DEVNULL)  # noqa: S603 - our own


if __name__ == "__main__":
    main()
