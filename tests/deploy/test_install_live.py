"""A stranger builds the wheel, installs it alone, and types what docs/install.md says, up to the first match."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pymysql
import pytest

from commands.__main__ import COMMANDS
from deploy.embedded.blueprint import draw_blueprint
from deploy.embedded.part import last_lines
from deploy.embedded.ports import free_ports
from deploy.embedded.process import Process
from deploy.embedded.stack import ANY_PORTS, EmbeddedStack
from deploy.embedded.waiting import await_condition
from deploy.embedded.warehouse import Warehouse
from tests.deploy.install_page import ROOT, Machine, block, unit_values
from tests.postgres_server import USER, PostgresServer

pytestmark = pytest.mark.live

LEFT_OUT = shutil.ignore_patterns(".git", ".local", "__pycache__", ".*_cache", "*.so", "*.egg-info", ".hypothesis")
PASSWORD = "of-the-walkthrough"
START_S, MATCH_S = 60.0, 120.0
LIGHT_EXTRAS = {
    "postgres": "psycopg",
    "duckdb": "duckdb_extension_httpfs",
    "trino": "trino",
    "presto": "prestodb",
    "redshift": "redshift_connector",
}
"""Each extra and what it brings; `spark` is half a gigabyte, and is imported by the tests of the engines."""


def plain_environment(folder: Path) -> dict[str, str]:
    """What a login shell has: nothing of this project, nor of the environment that runs the tests."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "LANG", "LC_"))}
    kept |= {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    programs = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    return {**kept, "PATH": programs, "HOME": os.environ.get("HOME", str(folder))}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """An empty machine on which the wheel was built and installed, with its declared dependencies alone."""
    folder = tmp_path_factory.mktemp("machine")
    made = Machine(folder, plain_environment(folder))
    for path in ("opt", "etc/systemd/system", "var/lib/datafingerprint", "work"):
        (folder / path).mkdir(parents=True)
    # A build in the checkout would take the native library away from tests that run beside this one.
    shutil.copytree(ROOT, folder / "checkout", ignore=LEFT_OUT)
    made.type(block("sh", "build"), folder / "checkout")
    (wheel,) = (folder / "checkout" / "dist").iterdir()
    shutil.copy(wheel, folder / "work")
    assert made.type(block("sh", "install"), folder / "work").startswith("datafingerprint ")
    shutil.rmtree(folder / "checkout")
    yield made
    made.close()


@pytest.fixture(scope="module")
def program(machine: Machine) -> str:
    return str(machine.path("/opt/datafingerprint/bin/datafingerprint"))


def test_every_command_starts_with_what_the_wheel_declares(machine: Machine, program: str) -> None:
    assert "--version" in machine.type(f"{program} --help")
    with ThreadPoolExecutor(2) as pool:
        told = dict(
            zip(COMMANDS, pool.map(lambda name: machine.type(f"{program} {name} --help"), COMMANDS), strict=True)
        )
    assert [name for name, text in told.items() if "Usage: " not in text] == []
    assert "Usage: " in machine.type(f"{program} status --help")
    done = machine.run(f"{program} doctor --json")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert {load["part"] for load in json.loads(done.stdout)} >= {"source", "broker", "bucket"}
    away = machine.run(f"{program} status --config nowhere.toml")
    refused = (
        "datafingerprint: cannot read nowhere.toml (No such file or directory): name a file that this user may read"
    )
    assert (away.returncode, away.stderr) == (2, f"{refused} in DFP_CONFIG or --config\n")


def test_the_league_comes_with_the_wheel(
    machine: Machine, program: str, stack_environment: dict[str, str], stack: EmbeddedStack
) -> None:
    schema = stack_environment["DFP_GENERATOR_SCHEMA_NAME"]
    given = " ".join(f"{name}='{value}'" for name, value in stack_environment.items())
    machine.type(f"{given} {program} generate --seed-only", machine.root / "work")
    with contextlib.closing(stack.blueprint.warehouse.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*) FROM `{schema}`.`players`")
        ((count,),) = cursor.fetchall()
        assert count > 1000


def test_what_other_settings_need_can_be_installed_by_name(machine: Machine) -> None:
    python = machine.path("/opt/datafingerprint/bin/python")
    wheel = next((machine.root / "work").glob("*.whl"))
    before = machine.type(f"{python} -m pip freeze")
    machine.type(f"{python} -m pip install -q '{wheel}[{','.join(LIGHT_EXTRAS)}]'")
    machine.type(f"{python} -c 'import {', '.join(LIGHT_EXTRAS.values())}'")
    # Only added to: what was tried without them is what is tried with them.
    after = set(machine.type(f"{python} -m pip freeze").splitlines())
    assert {line for line in before.splitlines() if not line.startswith("datafingerprint")} <= after


@dataclass
class Shop:
    """The stranger's own servers: a warehouse that read the page's option file, and the others' ports.

    Attributes:
        warehouse: The server, with the schema `shop`.
        values: What the reader puts in the place of the page's values.
    """

    warehouse: Warehouse
    values: dict[str, str]

    def sql(self, *statements: str) -> None:
        with (
            contextlib.closing(self.warehouse.connect_as_administrator()) as connection,
            connection.cursor() as cursor,
        ):
            for statement in statements:
                cursor.execute(statement)
            connection.commit()


def with_option_file(command: list[str], file: Path) -> list[str]:
    """A server's command with an option file in the place of the options that the file has."""
    set_there = set(re.findall(r"^(\w+) =", file.read_text(encoding="utf-8"), re.MULTILINE))
    others = [word for word in command if word.lstrip("-").partition("=")[0].replace("-", "_") not in set_there]
    return [f"--defaults-file={file}" if word == "--no-defaults" else word for word in others]


@pytest.fixture(scope="module")
def shop(
    request: pytest.FixtureRequest, stack: EmbeddedStack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    kind = request.config.getoption("--source")
    folder = tmp_path_factory.mktemp("shop")
    warehouse = draw_blueprint(folder, ANY_PORTS, kind).warehouse
    warehouse.prepare()
    file = folder / "my.cnf"
    file.write_text(block("ini", kind))
    file.chmod(0o644)
    server = Process(with_option_file(warehouse.command(), file), folder / "server.log")
    try:
        assert await_condition(warehouse.is_ready, timeout_s=START_S), last_lines(folder / "server.log")
        parts = stack.blueprint
        (port,) = free_ports(1)
        made = Shop(
            warehouse,
            {
                "port = 3306": f"port = {warehouse.port}",
                "127.0.0.1:9092": parts.kafka.bootstrap,
                "http://127.0.0.1:9000": parts.s3.endpoint,
                "S3-ACCESS-KEY": parts.s3.access_key,
                "port = 8000": f"port = {port}",
                'path = "lake"\n': 'path = "lake"\nflush_s = 1.0\n',  # a test has less time than a reader
            },
        )
        made.sql(
            "CREATE DATABASE shop",
            "CREATE TABLE shop.orders (id INT PRIMARY KEY, placed DATE NOT NULL, total DECIMAL(9,2))",
            "INSERT INTO shop.orders VALUES (1, '2030-12-31', 9.90), (2, '2031-01-01', 12.50), (3, '2031-06-01', NULL)",
            "CREATE TABLE shop.`t-1` (id INT PRIMARY KEY, note VARCHAR(50))",
            "INSERT INTO shop.`t-1` VALUES (1, 'one')",
        )
        with contextlib.suppress(pymysql.Error):
            made.sql("UNINSTALL COMPONENT 'file://component_classic_hashing'")
        made.sql(*block("sql", kind).replace("SOURCE-PASSWORD", PASSWORD).strip().split("\n"))
        with contextlib.closing(parts.s3.client()) as client:
            client.create_bucket(Bucket="shop-lake")
        yield made
    finally:
        server.stop()


def findings(machine: Machine, program: str, settings: Path) -> list[dict[str, str]]:
    result: list[dict[str, str]] = json.loads(machine.run(f"{program} doctor --json --config {settings}").stdout)
    return [item for item in result if item["severity"] != "ok"]


def matching(machine: Machine, orders: int) -> bool:
    """Whether `status` says that all matches, that nothing is on its way, and that both sides have so many orders."""
    done = machine.run(machine.at(block("sh", "status").splitlines()[0]))
    line = next((line.split() for line in done.stdout.splitlines() if line.startswith("shop.orders ")), [])
    return done.returncode == 0 and " 0 rows and " in done.stdout and line[2:4] == [str(orders), str(orders)]


def await_match(machine: Machine, orders: int) -> None:
    await_condition(lambda: bool(machine.ended()) or matching(machine, orders), timeout_s=MATCH_S, pause_s=0.5)
    assert machine.ended() == {}
    shown = machine.run(machine.at(block("sh", "status").splitlines()[0]))
    assert matching(machine, orders), shown.stdout + shown.stderr + "\n".join(map(machine.log, machine.services))


def test_the_walkthrough_leads_to_a_match_and_a_restored_backup_to_another(
    machine: Machine, program: str, shop: Shop, stack: EmbeddedStack
) -> None:
    secrets = {"SOURCE-PASSWORD": PASSWORD, "S3-SECRET-KEY": stack.blueprint.s3.secret_key}
    machine.type(machine.filled(block("sh", "secrets"), secrets))
    settings = machine.path("/etc/datafingerprint/shop.toml")
    settings.write_text(machine.filled(block("toml", "settings"), shop.values))

    machine.type(block("sh", "check"))
    assert [finding["check"] for finding in findings(machine, program, settings)] == ["copies"]  # there is one broker
    assert list(machine.path("/var/lib/datafingerprint").iterdir()) == []

    machine.type(block("sh", "services"))
    assert len(machine.services) == 6
    await_match(machine, 3)
    assert "shop.orders" in machine.type(block("sh", "status"))
    assert machine.type(block("sh", "names")) == "shop.t-1\n"
    sql = machine.type(f"{program} sql {shop.warehouse.name} shop.orders --config {settings}")
    assert "AS `fingerprint`" in sql

    machine.type(block("sh", "backup"))
    shop.sql("INSERT INTO shop.orders VALUES (4, '2031-07-01', 1)", "DELETE FROM shop.orders WHERE id = 1")
    shop.sql("UPDATE shop.orders SET total = 2 WHERE id = 3", "INSERT INTO shop.orders VALUES (5, '2032-07-01', 1)")
    await_match(machine, 4)

    machine.type(block("sh", "restore"))
    await_match(machine, 4)
    machine.type(block("sh", "status"))
    shop.sql("INSERT INTO shop.orders VALUES (6, '2033-07-01', 1)")
    await_match(machine, 5)

    machine.type(block("sh", "upgrade"), machine.root / "work")
    await_match(machine, 5)
    for unit in list(machine.services):
        assert "Traceback" not in (machine.root / f"{unit}.log").read_text()
    machine.type("systemctl stop datafingerprint@shop.target")


def test_the_role_of_the_page_may_do_all_and_what_another_lacks_is_named(
    machine: Machine, program: str, postgres: PostgresServer
) -> None:
    machine.type(f"{machine.path('/opt/datafingerprint/bin/pip')} install -q 'psycopg[binary]'")
    for statement in block("sql", "postgres").strip().splitlines():
        postgres.psql(statement.replace("POSTGRES-PASSWORD", PASSWORD))
    urls = block("text", "postgres").replace("POSTGRES-PASSWORD", PASSWORD).replace(":5432", f":{postgres.port}")
    catalog, state = urls.strip().splitlines()
    folder = machine.root / "postgres"
    folder.mkdir()
    (folder / "catalog-url").write_text(f"{catalog}\n")
    (folder / "state-url").write_text(f"{state}\n")
    settings = folder / "named.toml"
    settings.write_text('[lake]\ncatalog_file = "catalog-url"\n[state]\nurl_file = "state-url"\n')
    parts = {"catalog", "state store"}
    machine.run(f"chmod o= {folder}/*")

    result = [finding for finding in findings(machine, program, settings) if finding["part"] in parts]
    assert result == []
    # Nothing was made by looking.
    postgres.psql(
        "DO $$BEGIN ASSERT (SELECT count(*) = 0 FROM pg_tables WHERE schemaname = 'public'); END$$", "shop_lake"
    )

    for database in ("shop_lake", "shop_state"):
        postgres.psql(f"ALTER DATABASE {database} OWNER TO {USER}")
        postgres.psql("REVOKE CREATE ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO PUBLIC", database)
        postgres.psql("ALTER SCHEMA public OWNER TO CURRENT_USER", database)
    lacking = [finding for finding in findings(machine, program, settings) if finding["part"] in parts]
    assert {item["part"] for item in lacking} == parts
    assert {item["remedy"] for item in lacking} == {"GRANT CREATE ON SCHEMA public TO datafingerprint"}
    postgres.psql(lacking[0]["remedy"], "shop_lake")
    postgres.psql(lacking[0]["remedy"], "shop_state")
    assert [finding for finding in findings(machine, program, settings) if finding["part"] in parts] == []


def test_units_that_the_page_copies_are_those_of_the_wheel(machine: Machine) -> None:
    (unit,) = machine.path("/opt/datafingerprint/lib").glob("python3.*/site-packages/deploy/systemd/*capture@.service")
    assert unit_values(unit.read_text(), "RestartPreventExitStatus") == ["2"]
