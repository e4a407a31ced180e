"""The lake's tables in a stand-in of AWS Glue (moto): from capture to the verdict, through a crash of the writer.

Amazon's own Glue was never asked.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.flow.running import Flow

pytestmark = pytest.mark.live


@pytest.fixture
def stack_environment(stack_environment: dict[str, str], glue_server: str) -> dict[str, str]:
    """As for every test, with Glue as the catalog."""
    glue = {"DFP_LAKE_CATALOG": "glue://", "DFP_LAKE_CATALOG_OPTIONS": f"glue.endpoint={glue_server}"}
    return {**stack_environment, **glue}


def test_the_services_write_and_prove_a_lake_in_glue(small_flow: Flow) -> None:
    flow = small_flow
    flow.start()
    flow.match()
    writer = flow.service("lake_writer")
    for number in range(3):
        flow.sql(f"UPDATE {flow.schema}.players SET rating = rating + 1 WHERE league_id = {1 + number}")
        flow.sql(f"INSERT INTO {flow.schema}.notes VALUES ({number}, 'round {number}')")
        writer.kill()
        writer.start()
    flow.settle()
    assert flow.assert_equal() == 72
    flow.assert_all_match()
    done = subprocess.run(
        [sys.executable, "-m", "commands", "doctor"], env=flow.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "glue, 2 tables" in done.stdout
