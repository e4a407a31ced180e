"""The table of `./run status`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table

from deploy.supervision.supervisor import ProgramState

COLUMNS = ("part", "state", "pid", "uptime", "port", "log")
MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400


def status_rows(
    programs: Sequence[Mapping[str, str]], states: Mapping[str, ProgramState], now: float
) -> list[tuple[str, ...]]:
    """One row for each program, in the order in which they start."""
    return [_row(program, states.get(program["name"]), now) for program in programs]


def status_table(rows: Sequence[Sequence[str]]) -> Table:
    """The rows under their headings."""
    table = Table(box=None, pad_edge=False)
    for column in COLUMNS:
        table.add_column(column, no_wrap=True, overflow="fold" if column == "log" else "ellipsis")
    for row in rows:
        table.add_row(*row)
    return table


def uptime(seconds: float) -> str:
    """Renders a duration in its two largest units."""
    whole = max(0, int(seconds))
    if whole < MINUTE_S:
        return f"{whole} s"
    if whole < HOUR_S:
        return f"{whole // MINUTE_S} min {whole % MINUTE_S} s"
    if whole < DAY_S:
        return f"{whole // HOUR_S} h {whole % HOUR_S // MINUTE_S} min"
    return f"{whole // DAY_S} d {whole % DAY_S // HOUR_S} h"


def _row(program: Mapping[str, str], state: ProgramState | None, now: float) -> tuple[str, ...]:
    name, port, log = program["name"], program["port"], program["log"]
    if state is None or not state.is_running:
        return (name, _resting(state), "", "", port, log)
    return (name, state.state.lower(), str(state.pid), uptime(now - state.started), port, log)


def _resting(state: ProgramState | None) -> str:
    if state is None or state.state == "STOPPED":
        return "stopped"
    return f"{state.state.lower()} with {state.exit_status}"
