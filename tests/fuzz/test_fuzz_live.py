"""The deciding test: any table, anything done to it, and equal sums by all ways, on a real server."""

from __future__ import annotations

import itertools
import json
import sys
import time
from pathlib import Path
from typing import Any

import pymysql
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from datafingerprint.config import Settings
from tests.fuzz.drawing import cases
from tests.fuzz.running import run_case

pytestmark = pytest.mark.live

CASES = Path(__file__).parents[1] / "cases"
AT_ONCE = settings(
    max_examples=50,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)


@pytest.mark.parametrize("path", sorted(CASES.glob("*.json")), ids=lambda path: path.stem)
def test_a_case_that_failed_once_does_not_again(
    source: pymysql.Connection, stack_settings: Settings, path: Path, request: pytest.FixtureRequest
) -> None:
    case = json.loads(path.read_text())
    if case.get("only", request.config.getoption("--source")) == request.config.getoption("--source"):
        run_case(source, stack_settings, case)


def test_any_table_adds_up_to_the_same_by_all_ways(
    source: pymysql.Connection, stack_settings: Settings, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    server = request.config.getoption("--source")
    first = request.config.getoption("--fuzz-seed")
    deadline = time.monotonic() + request.config.getoption("--fuzz-seconds")
    failing = tmp_path / "case.json"
    done = 0

    def anything(data: st.DataObject) -> None:
        nonlocal done
        case: dict[str, Any] = data.draw(cases(server))
        try:
            run_case(source, stack_settings, case)
        except BaseException:
            failing.write_text(json.dumps(case, ensure_ascii=False, indent=1) + "\n")
            raise
        done += 1

    for number in itertools.count(first):
        try:
            seed(number)(AT_ONCE(given(st.data())(anything)))()
        except Exception as error:
            if failing.exists():
                error.add_note(f"keep this case under tests/cases:\n{failing.read_text()}")
            raise
        if time.monotonic() > deadline:
            break
    sys.stderr.write(f"\n{done} tables on {server}, seeds {first} to {number}\n")
    assert done > 0
