"""The whole way on one machine: a backlog to its verdicts, how fresh verdicts are, and what watching costs the source.

`./run bench pipeline [--rows N] [--fresh-s S] [--rounds N] [--source mysql]`

Server, Kafka, S3, capture, lake writer, fingerprinter, the program that writes and this one share the same cores.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from bench.backlogs import make_numbers, narrow
from bench.flow import Flow, judged_moment, judged_rows
from bench.progress import Point, Run
from bench.writer import INSERTED, UPDATED
from deploy.embedded.stack import EmbeddedStack

FRESH_ROWS_PER_S = 2_000
_LOAD_S = 6.0
_BEHIND = 19
"""As far behind other processes as the system lets one stand: a stand-in for capture on a machine of its own."""


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="./run bench pipeline", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=500_000, help="rows of the backlog, beside its warm-up")
    parser.add_argument("--fresh-s", type=float, default=60.0, help="seconds of steady writing, for the freshness")
    parser.add_argument("--rounds", type=int, default=6, help="rounds with and without capture, for what it costs")
    parser.add_argument("--source", choices=["mysql", "mariadb"], default="mariadb", help="the server")
    return parser.parse_args()


def throughput(flow: Flow) -> float:
    """Prints how fast a backlog went through everything; rows a second behind the warm-up."""
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
    """CPU seconds that the parts have used before the services run."""
    idle = Flow(flow.stack, flow.directory, flow.backlog)
    return {name: cpu for name, (cpu, _) in idle.usage().items()}


def freshness(flow: Flow, seconds: float) -> float:
    """Prints how long after its commit a transaction is part of a verdict; the 99th percentile in seconds."""
    first_moment = flow.moment()
    writer = flow.writer(seconds=seconds, rows_per_s=FRESH_ROWS_PER_S, first=10**7)
    seen: list[tuple[float, int]] = []
    with flow.store() as store:

        def is_through() -> bool:
            moment = judged_moment(store) - first_moment
            if not seen or moment > seen[-1][1]:
                seen.append((time.time(), moment))
            return writer.has_ended and judged_moment(store) >= flow.moment()

        flow.await_that(is_through)
    told = writer.told()
    flow.require_matches()
    ages, at = [], 0
    for number, committed in enumerate(told["commits"], start=1):
        while seen[at][1] < number:
            at += 1
        ages.append(seen[at][0] - committed)
    ages.sort()
    p50, p99 = ages[len(ages) // 2], ages[int(len(ages) * 0.99)]
    flush_s = flow.settings.lake.flush_s
    print(
        f"freshness: {told['rows'] / told['seconds']:,.0f} rows/s written for {told['seconds']:.0f} s, flush interval "
        f"{flush_s:.0f} s: from commit to verdict p50 {p50:.2f} s, p99 {p99:.2f} s (interval + {p99 - flush_s:.2f} s)"
    )
    return p99


def cost(flow: Flow, rounds: int, *, nice: int) -> float:
    """Prints what a writer at full speed loses while capture follows it; the median loss of a round, in percent."""
    capture = flow.services["cdc"]
    capture.nice = nice
    losses = []
    for number in range(rounds):
        rates: dict[bool, float] = {}
        for watched in (True, False) if number % 2 else (False, True):
            if watched:
                said = capture.log.read_text().count("stream resumed")
                capture.start()
                while capture.log.read_text().count("stream resumed") == said or _is_behind(flow):
                    _ = capture.pid
                    time.sleep(0.1)
            first = 2 * 10**7 + 10**6 * (2 * number + watched) + (5 * 10**7 if nice else 0)
            told = flow.writer(seconds=_LOAD_S, rows_per_s=0, first=first).told()
            rates[watched] = told["rows"] / told["seconds"]
            capture.stop()
        losses.append(100 * (1 - rates[True] / rates[False]))
    loss = statistics.median(losses)
    shown = ", ".join(f"{one:.1f}" for one in sorted(losses))
    print(
        f"cost: {loss:.1f} % of the rows/s of a writer at full speed, capture at nice {nice} "
        f"(rounds: {shown}; {INSERTED} inserts and {UPDATED} updates a transaction)"
    )
    return loss


def _is_behind(flow: Flow) -> bool:
    """Whether capture's last published epoch is not yet at the source's position."""
    lines = [line for line in flow.services["cdc"].log.read_text().splitlines() if "epoch published" in line]
    return not lines or flow.stack.blueprint.warehouse.gtid() not in lines[-1]


def main() -> None:
    """Prints all figures."""
    asked = arguments()
    backlog = narrow(asked.rows)
    with tempfile.TemporaryDirectory() as place, EmbeddedStack(Path(place), asked.source) as stack:
        make_numbers(stack.blueprint.warehouse, backlog.rows)
        services = Path(place) / "services"
        services.mkdir()
        flow = Flow(stack, services, backlog)
        flow.prepare()
        backlog.fill(stack.blueprint.warehouse)
        try:
            rate = throughput(flow)
            p99 = freshness(flow, asked.fresh_s)
            flow.stop()
            shared, behind = cost(flow, asked.rounds, nice=0), cost(flow, asked.rounds, nice=_BEHIND)
        finally:
            flow.stop()
    print(
        f"pipeline: {rate:,.0f} rows/s, p99 {p99:.2f} s, watching costs {shared:.1f} % ({behind:.1f} % behind others)"
    )


if __name__ == "__main__":
    main()
