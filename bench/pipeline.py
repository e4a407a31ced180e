"""The whole flow on one machine: a backlog, freshness of verdicts, cost for the source.

`./run bench pipeline [--rows N] [--fresh-s S] [--rounds N] [--source mysql]`

Server, Kafka, S3, capture, lake writer, fingerprinter, the program that writes and this one share the same cores.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.backlogs import make_numbers, narrow
from bench.flow import Flow, judged_moment, judged_rows
from bench.processes import cpu_s
from bench.progress import Point, Run
from bench.writer import INSERTED, UPDATED
from deploy.embedded.stack import EmbeddedStack

FRESH_ROWS_PER_S = 2_000
_LOAD_S = 5.0
_BEHIND = 19
"""The lowest priority: it stands for a capture on another machine."""


def arguments() -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(prog="./run bench pipeline", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=500_000, help="rows of the backlog, besides its warm-up")
    parser.add_argument("--fresh-s", type=float, default=60.0, help="seconds of steady writing, for the freshness")
    parser.add_argument("--rounds", type=int, default=5, help="rounds with and without capture, for what it costs")
    parser.add_argument("--source", choices=["mysql", "mariadb"], default="mariadb", help="the server")
    return parser.parse_args()


def throughput(flow: Flow) -> float:
    """Prints the rate of a backlog through everything, in rows per second after the warm-up."""
    backlog, before = flow.backlog, _parts(flow)
    began = time.time()
    flow.start()
    points: list[Point] = []
    with flow.store() as store:

        def is_through() -> bool:
            rows = judged_rows(store)
            if rows and (not points or rows > points[-1].rows):
                points.append(Point(time.time(), rows))
            return rows >= backlog.rows and judged_moment(store) == flow.moment()

        flow.await_that(is_through)
    flow.require_matches()
    run = Run(began, tuple(points), points[0].rows)
    rate = run.rate if len(points) > 1 else backlog.rows / run.seconds
    print(f"backlog: {backlog.rows:,} rows, from the services' start to all verdicts {run.seconds:.1f} s")
    print(f"backlog: {rate:,.0f} rows/s from the first {points[0].rows:,} rows' verdicts to the last")
    for name, (cpu, peak) in flow.usage().items():
        used = (cpu - before.get(name, 0.0)) * 1e6 / backlog.rows
        print(f"backlog: {name:14} {used:6.1f} CPU s per million rows, at most {peak:,.0f} MiB")
    return rate


def _parts(flow: Flow) -> dict[str, float]:
    """CPU seconds of the parts before the services run."""
    idle = Flow(flow.stack, flow.directory, flow.backlog)
    return {name: cpu for name, (cpu, _) in idle.usage().items()}


def freshness(flow: Flow, seconds: float) -> float:
    """Prints the delay from a commit to its verdict.

    Returns:
        The 99th percentile in seconds.
    """
    first_moment = flow.moment()
    writer = flow.writer(seconds=seconds, rows_per_s=FRESH_ROWS_PER_S, first=10**7)
    seen: list[tuple[float, int]] = []
    with flow.store() as store:

        def is_through() -> bool:
            judged = judged_moment(store)
            if not seen or judged - first_moment > seen[-1][1]:
                seen.append((time.time(), judged - first_moment))
            return writer.has_ended and judged >= flow.moment()

        flow.await_that(is_through)
    report = writer.report()
    flow.require_matches()
    ages, at = [], 0
    for number, committed in enumerate(report["commits"], start=1):
        while seen[at][1] < number:
            at += 1
        ages.append(seen[at][0] - committed)
    ages.sort()
    p50, p99 = ages[len(ages) // 2], ages[int(len(ages) * 0.99)]
    flush_s = flow.settings.lake.flush_s
    print(
        f"freshness: {report['rows'] / report['seconds']:,.0f} rows/s written for {report['seconds']:.0f} s, "
        f"flush interval {flush_s:.0f} s: from commit to verdict p50 {p50:.2f} s, p99 {p99:.2f} s "
        f"(interval + {p99 - flush_s:.2f} s)"
    )
    return float(p99)


@dataclass(frozen=True, slots=True)
class Load:
    """A writer at full speed: rows per second, and CPU seconds per million rows."""

    rate: float
    cpu_s: dict[str, float]


def load(flow: Flow, first: int) -> Load:
    """Writes at full speed for some seconds."""
    pids = {name: pid for name, pid in flow.pids().items() if name != "(s3)"}
    before = {name: cpu_s(pid) for name, pid in pids.items()}
    report = flow.writer(seconds=_LOAD_S, rows_per_s=0, first=first).report()
    used = {name: (cpu_s(pid) - before[name]) * 1e6 / report["rows"] for name, pid in pids.items()}
    return Load(report["rows"] / report["seconds"], used)


def cost(flow: Flow, rounds: int, *, nice: int) -> float:
    """Prints the loss of a writer at full speed by capture: the median, in percent.

    A round writes four times: alone, twice beside capture, and alone again, so that what drifts meanwhile is as much
    on either side; the two times alone also say how much such rates differ by themselves.
    """
    capture = flow.services["cdc"]
    capture.nice = nice
    losses, noise = [], []
    loads: dict[bool, list[Load]] = {True: [], False: []}
    first = (7 if nice else 2) * 10**7
    for _ in range(rounds):
        this: dict[bool, list[Load]] = {True: [], False: []}
        for watched in (False, True, True, False):
            if watched and capture.child is None:
                _start_following(flow)
            if not watched:
                capture.stop()
            this[watched].append(load(flow, first))
            first += 10**6
            while watched and _is_behind(flow):
                _ = capture.pid
                time.sleep(0.1)
        rates = {captured: [load.rate for load in loads] for captured, loads in this.items()}
        losses.append(100 * (1 - sum(rates[True]) / sum(rates[False])))
        noise.append(100 * abs(1 - rates[False][1] / rates[False][0]))
        for watched, these in this.items():
            loads[watched] += these
    loss = statistics.median(losses)
    shown = ", ".join(f"{loss:.1f}" for loss in sorted(losses))
    print(
        f"cost: {loss:.1f} % of the rows/s of a writer at full speed, capture at nice {nice} (rounds: {shown}; two "
        f"times alone differ by {statistics.median(noise):.1f} %; {INSERTED} inserts, {UPDATED} updates a transaction)"
    )
    for watched, these in loads.items():
        used = {name: statistics.median(load.cpu_s[name] for load in these) for name in these[0].cpu_s}
        cpu_text = ", ".join(f"{name} {seconds:.1f}" for name, seconds in used.items())
        rate = statistics.median(load.rate for load in these)
        print(f"cost: {'captured' if watched else 'alone'}: {rate:,.0f} rows/s; CPU s per million rows: {cpu_text}")
    return loss


def _start_following(flow: Flow) -> None:
    """Starts capture, and waits until it has reached the source's position."""
    capture = flow.services["cdc"]
    resumed_before = capture.log.read_text().count("stream resumed")
    capture.start()
    while capture.log.read_text().count("stream resumed") == resumed_before or _is_behind(flow):
        _ = capture.pid
        time.sleep(0.1)


def _is_behind(flow: Flow) -> bool:
    """Whether capture's last published epoch is before the source's position."""
    lines = [line for line in flow.services["cdc"].log.read_text().splitlines() if "epoch published" in line]
    return not lines or flow.stack.blueprint.warehouse.gtid() not in lines[-1]


def main() -> None:
    """Prints all figures."""
    options = arguments()
    backlog = narrow(options.rows)
    with tempfile.TemporaryDirectory() as place, EmbeddedStack(Path(place), options.source) as stack:
        make_numbers(stack.blueprint.warehouse, backlog.rows)
        services = Path(place) / "services"
        services.mkdir()
        flow = Flow(stack, services, backlog)
        flow.prepare()
        backlog.fill(stack.blueprint.warehouse)
        try:
            rate = throughput(flow)
            p99 = freshness(flow, options.fresh_s)
            flow.stop()
            shared, behind = cost(flow, options.rounds, nice=0), cost(flow, options.rounds, nice=_BEHIND)
        finally:
            flow.stop()
    print(
        f"pipeline: {rate:,.0f} rows/s, p99 {p99:.2f} s, watching costs {shared:.1f} % ({behind:.1f} % behind others)"
    )


if __name__ == "__main__":
    main()
