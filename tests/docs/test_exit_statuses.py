"""Exit statuses have one definition, and the table of the docs lists these and no others."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from datafingerprint.exit_statuses import ExitStatus, exit_status_of
from datafingerprint.verdict import Outcome

ROOT = Path(__file__).parents[2]


def test_the_table_of_the_docs_has_every_status_and_no_other() -> None:
    table = (ROOT / "docs" / "install.md").read_text(encoding="utf-8").partition("## Exit statuses")[2]
    header = table.strip().splitlines()[0]
    listed = {int(number) for number in re.findall(r"\| (\d+) ", header) + re.findall(r"\| (\d+):", table)}
    assert listed == set(ExitStatus)


def test_every_outcome_has_a_status() -> None:
    assert [exit_status_of(outcome) for outcome in Outcome] == [0, 1, 2]


def test_no_program_ends_with_a_number_of_its_own() -> None:
    numbers = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for package in ("datafingerprint", "services", "api", "commands", "deploy")
        for path in sorted((ROOT / package).rglob("*.py"))
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("sys.exit", "os._exit", "SystemExit")
        if any(isinstance(part, ast.Constant) and isinstance(part.value, int) for part in ast.walk(call))
    ]
    assert numbers == []
