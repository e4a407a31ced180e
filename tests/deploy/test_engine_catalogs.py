"""The catalogs that `deploy/trino` and `deploy/presto` show are those that the tests start."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.embedded.part import PartError
from deploy.embedded.ports import free_ports
from deploy.embedded.stack import EmbeddedStack
from deploy.engines.presto import Presto
from deploy.engines.system import System
from deploy.engines.trino import Trino

DEPLOY = Path(__file__).parents[2] / "deploy"
OWN = {"lake": "hive.metastore.catalog.dir", "source": "connection-url"}
"""What each place has for itself, beside logins."""

ENVIRONMENT = {
    "DFP_LAKE_CATALOG": "postgresql://u:p@catalog.example.com/lake",
    "DFP_S3_ENDPOINT": "https://s3.example.com",
}


def shown(engine: str, catalog: str) -> dict[str, str]:
    lines = (DEPLOY / engine / "catalog" / f"{catalog}.properties").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", maxsplit=1) for line in lines if line and not line.startswith("#"))


@pytest.mark.parametrize("catalog", ["lake", "source"])
@pytest.mark.parametrize("engine", ["trino", "presto"])
def test_a_catalog_is_the_one_that_is_tried(engine: str, catalog: str, tmp_path: Path) -> None:
    system = System.of(ENVIRONMENT, "mysql")
    part = Trino(tmp_path, 1, system) if engine == "trino" else Presto(tmp_path, 1, system)
    tried = part.lake() if catalog == "lake" else part.source()
    there = shown(engine, catalog)
    assert there.keys() == tried.keys()
    for name, value in there.items():
        is_of_the_place = name == OWN[catalog] or name.endswith("connection-url") or value.startswith("${ENV:")
        assert is_of_the_place or tried[name] == value, name


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ("trino", "?sessionVariables=time_zone='%2B00:00',sql_mode='',sql_select_limit=18446744073709551615"),
        ("presto", "zeroDateTimeBehavior=convertToNull"),
    ],
)
def test_the_sources_session_is_set_as_the_statement_expects(engine: str, words: str, tmp_path: Path) -> None:
    system = System.of(ENVIRONMENT, "mysql")
    part = Trino(tmp_path, 1, system) if engine == "trino" else Presto(tmp_path, 1, system)
    assert words in shown(engine, "source")["connection-url"]
    assert words in part.source()["connection-url"]


def test_a_warehouse_that_cannot_be_asked_what_it_is_is_one_line() -> None:
    port = free_ports(1)[0]
    with pytest.raises(
        PartError, match=rf"the kind of the warehouse at 127\.0\.0\.1:{port} is unknown .*: add --source"
    ):
        System.of({"DFP_SOURCE_HOST": "127.0.0.1", "DFP_SOURCE_PORT": str(port), "DFP_SOURCE_USER": "u"})


@pytest.mark.live
def test_what_the_warehouse_is_need_not_be_said(stack: EmbeddedStack, request: pytest.FixtureRequest) -> None:
    assert System.of(stack.environment()).source == request.config.getoption("--source")
