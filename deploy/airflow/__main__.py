"""`./run airflow`: Airflow beside the running system, with the project's provider and DAGs."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import click

from deploy.airflow.installation import CHECKOUT, USER, AirflowInstallation
from deploy.embedded.part import PartError, describe_failure
from deploy.embedded.ports import settle_ports
from deploy.embedded.private import make_private
from deploy.embedded.process import Process
from deploy.embedded.waiting import await_condition

DIRECTORY = CHECKOUT / ".local" / "airflow" / "home"
PORTS = {"airflow": 8081, "task_logs": 8793, "trigger_logs": 8794}
PROCESSES = ("api-server", "scheduler", "dag-processor", "triggerer")
COMPONENTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")
READY_WITHIN_S = 240.0
HTTP_TIMEOUT_S = 5.0


@click.command(help="Starts Airflow with the DAGs of deploy/airflow/dags beside the system that is up, until Ctrl-C.")
@click.option("--port", type=click.IntRange(1, 65535), default=PORTS["airflow"], show_default=True, help="Its page.")
def main(port: int) -> None:
    """Runs Airflow's four processes. Its folder is kept for the next start."""
    if "DFP_API_PORT" not in os.environ:
        raise click.ClickException("the system is not up: ./run up --no-generator")
    make_private(DIRECTORY)
    ports = settle_ports(DIRECTORY / "ports.json", {**PORTS, "airflow": port})
    installation = AirflowInstallation(DIRECTORY, ports)
    password = installation.prepare()
    os.environ.update(installation.environment(os.environ))
    try:
        _migrate(installation)
        _serve(installation, password)
    except PartError as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        click.echo("stopping")


def _migrate(installation: AirflowInstallation) -> None:
    click.echo("preparing Airflow's database")
    log = installation.log("migrate")
    with log.open("wb") as output:
        ran = subprocess.run(  # noqa: S603 - Airflow's own program
            [installation.program(), "db", "migrate"], stdout=output, stderr=output, check=False
        )
    if ran.returncode:
        raise PartError(f"airflow db migrate failed; see {log}")


def _serve(installation: AirflowInstallation, password: str) -> None:
    processes: dict[str, Process] = {}
    with ExitStack() as ending:
        ending.callback(_stop, processes)
        for name in PROCESSES:
            processes[name] = Process([installation.program(), name], installation.log(name))
        click.echo(f"starting Airflow: {', '.join(PROCESSES)}")
        await_condition(
            lambda: is_well(installation.url) or not _all_run(processes), timeout_s=READY_WITHIN_S, pause_s=0.5
        )
        _require_running(processes)
        if not is_well(installation.url):
            raise PartError(describe_failure("Airflow does not answer", processes["api-server"].log))
        click.echo(f"up: {installation.url}/  user {USER}  password {password}; Ctrl-C ends it")
        if _is_playing():
            click.echo("the generator runs, and plays alone: `dfp_new_data` works after ./run up --no-generator")
        ended = threading.Event()
        while _all_run(processes) and not ended.wait(1):
            pass
        _require_running(processes)


def is_well(url: str) -> bool:
    """Whether all parts of Airflow say that they are well."""
    try:
        with urllib.request.urlopen(f"{url}/api/v2/monitor/health", timeout=HTTP_TIMEOUT_S) as answer:  # noqa: S310 - ours
            health = json.load(answer)
    except (OSError, ValueError):
        return False
    return all((health.get(name) or {}).get("status") == "healthy" for name in COMPONENTS)


def _stop(processes: Mapping[str, Process]) -> None:
    """Ends all of them at once: each takes some seconds."""
    with ThreadPoolExecutor() as pool:
        for ended in [pool.submit(process.stop) for process in processes.values()]:
            ended.result()


def _all_run(processes: dict[str, Process]) -> bool:
    return all(process.is_running for process in processes.values())


def _require_running(processes: dict[str, Process]) -> None:
    for name, process in processes.items():
        if not process.is_running:
            raise PartError(describe_failure(f"airflow {name} ended", process.log))


def _is_playing() -> bool:
    """Whether the system that is up plays the league by itself."""
    try:
        port = int(os.environ["DFP_API_PORT"])
        token = os.environ.get("DFP_API_TOKEN", "")
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/services", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=HTTP_TIMEOUT_S) as answer:  # noqa: S310 - as above
            items = json.load(answer)["items"]
    except (OSError, ValueError, KeyError):
        return False
    return any(item["service"] == "generator" and item["state"] in ("running", "retrying") for item in items)


if __name__ == "__main__":
    main()
