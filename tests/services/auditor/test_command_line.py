"""The command's options: what excludes each other is refused, and progress never mixes with findings."""

from __future__ import annotations

import io

import pytest
from click.testing import CliRunner
from rich.console import Console

from datafingerprint.audit import Finding
from datafingerprint.audits import AuditProgress
from datafingerprint.verdict import Outcome
from services.auditor.__main__ import main
from services.auditor.journal import AuditStep
from services.auditor.rendering import ProgressDisplay


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--serve", "ootp.games"], "--serve reads requests from the state store"),
        (["--serve", "--all"], "--serve reads requests from the state store"),
        (["--all", "ootp.games"], "--all and a table exclude each other"),
    ],
)
def test_options_that_exclude_each_other_are_refused(arguments: list[str], message: str) -> None:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert message in done.output


def test_without_a_terminal_progress_is_lines() -> None:
    console = Console(file=io.StringIO(), force_terminal=False, width=20)
    result = (Finding("ootp.games", "date_year=2031", Outcome.MATCH),)
    with ProgressDisplay(console) as progress:
        progress.show(AuditStep(7, AuditProgress(0, 28, 0), pause="60 threads run on the server, above 50"))
        progress.show(AuditStep(7, AuditProgress(0, 28, 5000)))
        progress.show(AuditStep(7, AuditProgress(1, 28, 9000), "ootp.games", result))
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "paused: 60 threads run on the server, above 50",
        "ootp.games: match (1 of 28 partitions, 9000 rows)",
    ]
