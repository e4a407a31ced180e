"""A statement on a real server is watched while it works, and ends there when it is cancelled or takes too long."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from datafingerprint.adapters.engines.drivers import engine_opener
from datafingerprint.config import EngineSettings
from datafingerprint.errors import ConfigError
from datafingerprint.scans import Cancelled
from deploy.embedded.waiting import await_condition
from deploy.engines.presto import Presto
from deploy.engines.trino import Trino
from tests.engines.asking import Engine
from tests.engines.conftest import Warehouse

pytestmark = [
    pytest.mark.engines,
    # The clients of Presto and Spark leave sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

NUMBERS = "UNNEST(sequence(1, 10000))"
SERVERS = pytest.mark.parametrize("name", ["trino", "presto"])


def long_statement(mark: str) -> str:
    """One that works for hours, and is found again by its mark."""
    joined = " CROSS JOIN ".join(f"{NUMBERS} {name}({name})" for name in ("a", "b", "c"))
    return f"SELECT count(*) AS {mark} FROM {joined} WHERE a * random() > 10000"


@pytest.fixture
def settings(name: str, trino_server: Trino, presto_server: Presto) -> EngineSettings:
    port = trino_server.port if name == "trino" else presto_server.port
    return EngineSettings.model_validate({"kind": name, "port": port, "timeout_s": 20.0})


def ended(asked: Engine, mark: str) -> bool:
    """Whether the server itself says that the statement has ended."""
    states = asked.run(f"SELECT state FROM system.runtime.queries WHERE query LIKE 'SELECT count(*) AS {mark} %'")
    return [row[0] for row in states] == ["FAILED"]


@SERVERS
@pytest.mark.parametrize("mark", ["cancelled", "late"])
def test_a_statement_shows_how_far_it_is_until_it_ends_at_the_server(
    name: str, mark: str, settings: EngineSettings, warehouse: Warehouse, request: pytest.FixtureRequest
) -> None:
    stop = threading.Event()
    told: list[str] = []
    tell: Callable[[str], None] = told.append

    def tell_and_stop(text: str) -> None:
        tell(text)
        if text and mark == "cancelled":
            stop.set()

    with engine_opener(warehouse.settings)(name, settings) as engine:
        if mark == "cancelled":
            with pytest.raises(Cancelled, match=r"^$"):
                engine.run((), long_statement(mark), stop, tell_and_stop)
        else:
            with pytest.raises(ConfigError, match=r"^the engine was not done after 20 s: raise its timeout_s$"):
                engine.run((), long_statement(mark), stop, tell_and_stop)
    assert any(text.endswith(" rows") and " %" in text for text in told)
    asked: Engine = request.getfixturevalue(name)
    assert await_condition(lambda: ended(asked, mark), timeout_s=60)
