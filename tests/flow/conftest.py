"""The flows that tests share, as fixtures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.embedded.stack import EmbeddedStack
from tests.flow.running import (
    LEAGUE_PARTITIONS,
    LEAGUES,
    SMALL_PARTITIONS,
    Flow,
    build_flow,
    create_small_tables,
    ending,
)


@pytest.fixture
def flow(
    stack: EmbeddedStack, stack_environment: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Flow]:
    """The flow of one test, over the league's tables."""
    with ending(build_flow(stack, stack_environment, tmp_path, LEAGUE_PARTITIONS), request) as made:
        yield made


@pytest.fixture
def small_flow(
    stack: EmbeddedStack, stack_environment: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Flow]:
    """The flow of one test, over two small tables."""
    with ending(build_flow(stack, stack_environment, tmp_path, SMALL_PARTITIONS), request) as made:
        create_small_tables(made)
        yield made


@pytest.fixture(scope="module")
def standing_flow(
    stack: EmbeddedStack, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Flow]:
    """One flow for all tests of a module, over two small tables; all its services run, and every partition matches."""
    directory = tmp_path_factory.mktemp("standing")
    name = request.module.__name__.rpartition(".")[2].removeprefix("test_")
    environment = {
        **stack.environment(),
        "DFP_SOURCE_TABLES": f"{name}.*",
        "DFP_GENERATOR_SCHEMA_NAME": name,
        "DFP_KAFKA_PREFIX": name,
        "DFP_LAKE_PATH": name,
        "DFP_LAKE_CATALOG": f"sqlite:///{directory}/catalog.db",
        "DFP_STATE_URL": f"sqlite:///{directory}/state.db",
        "DFP_LAKE_FLUSH_S": "0.2",
        "DFP_CDC_EPOCH_S": "0.2",
        "DFP_CDC_HEARTBEAT_S": "0.5",
        "DFP_FINGERPRINTER_ETAG_CHECK_S": "0.5",
        "DFP_FINGERPRINTER_POLL_S": "0.5",
    }
    with ending(build_flow(stack, environment, directory, SMALL_PARTITIONS), request) as made:
        create_small_tables(made)
        made.start()
        made.settle()
        # The position alone may be that of an epoch at which the first snapshot was not complete.
        made.await_that("both tables match", lambda: len(made.verdicts()) > len(LEAGUES) and not made.mismatches())
        made.assert_all_match()
        yield made
