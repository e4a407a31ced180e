"""A warehouse that requires TLS: every connection is encrypted, or refused with one line."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from datafingerprint.adapters.mysql.audit_source import AuditSource
from datafingerprint.adapters.mysql.source import BinlogSource
from datafingerprint.adapters.mysql.warehouse import MysqlWarehouse
from datafingerprint.config import Settings, load_settings
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import DataFingerprintError, SourceError
from datafingerprint.ports.source import SnapshotRows
from deploy.embedded.mariadb import MariaDB
from deploy.embedded.mysql import MySQL
from deploy.embedded.ports import free_ports
from deploy.embedded.private import socket_folder
from deploy.embedded.process import Process
from deploy.embedded.waiting import await_condition
from deploy.embedded.warehouse import Warehouse
from tests.certificates import Certificates, make_certificates

pytestmark = pytest.mark.live

PASSWORD = "not shown"
READY_S = 60.0


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    folder.chmod(0o755)
    return make_certificates(folder)


@pytest.fixture(scope="module")
def warehouse(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, certificates: Certificates
) -> Iterator[Warehouse]:
    """A server that refuses plain connections, with an account that needs a client certificate."""
    directory = tmp_path_factory.mktemp("tls")
    kind = {"mariadb": MariaDB, "mysql": MySQL}[request.config.getoption("--source")]
    server = kind(
        directory=directory / "server",
        port=free_ports(1)[0],
        sockets=socket_folder(directory),
        user="dfp",
        password=PASSWORD,
        options=(
            f"--ssl-ca={certificates.authority}",
            f"--ssl-cert={certificates.server}",
            f"--ssl-key={certificates.server_key}",
            "--require-secure-transport=ON",
        ),
    )
    server.prepare()
    process = Process(server.command(), directory / "server.log")
    try:
        assert await_condition(server.is_ready, timeout_s=READY_S), (directory / "server.log").read_text()
        with server.connect_as_administrator() as connection, connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE ootp")
            cursor.execute("CREATE TABLE ootp.players (id INT PRIMARY KEY, name VARCHAR(20))")
            cursor.execute("INSERT INTO ootp.players VALUES (1, 'Ana'), (2, 'Bo')")
            cursor.execute(f"CREATE USER 'x509'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}' REQUIRE X509")
            cursor.execute("GRANT ALL ON *.* TO 'x509'@'127.0.0.1'")
            connection.commit()
        yield server
    finally:
        process.stop()


def environment(warehouse: Warehouse, **more: str) -> dict[str, str]:
    given = {f"DFP_SOURCE_{name.upper()}": value for name, value in more.items()}
    return {**warehouse.environment(), "DFP_SOURCE_TABLES": "ootp.players", **given}


def settings_of(warehouse: Warehouse, **more: str) -> Settings:
    return load_settings({"tables": {}}, environment(warehouse, **more))


def used(settings: Settings) -> None:
    """Connects in every way that the services do."""
    source = BinlogSource(settings)
    source.preflight()
    (table,) = source.tables()
    with contextlib.closing(source.snapshot([table])) as snapshot:
        (step,) = snapshot.read()
        assert isinstance(step, SnapshotRows)
        assert step.rows.num_rows == 2
        with contextlib.closing(source.events(snapshot.position)) as events:
            assert next(events)
    with AuditSource(settings).view([table]) as view:
        assert view.count(table, None) == 2
    generator = MysqlWarehouse(settings.source, "ootp")
    generator.connect()
    generator.close()


@pytest.mark.parametrize("mode", ["preferred", "required", "REQUIRED"])
def test_the_connection_is_encrypted_without_a_configured_authority(warehouse: Warehouse, mode: str) -> None:
    used(settings_of(warehouse, tls=mode))


@pytest.mark.parametrize("mode", ["verify_ca", "verify_identity"])
def test_the_right_authority_is_accepted_by_every_service(
    warehouse: Warehouse, certificates: Certificates, mode: str
) -> None:
    used(settings_of(warehouse, tls=mode, tls_ca=str(certificates.authority)))


def refused(settings: Settings) -> str:
    """Every kind of connection is refused for good, with the same error."""
    ways = [
        BinlogSource(settings).preflight,
        lambda: next(BinlogSource(settings).events(SourcePosition("", "", 0))),
        MysqlWarehouse(settings.source, "ootp").connect,
    ]
    messages = []
    for way in ways:
        with pytest.raises(SourceError) as error:
            way()
        messages.append(error.value.what.removeprefix("the warehouse refused: "))
    assert len(set(messages)) == 1 or "Access denied" in messages[0]
    return messages[0]


def test_a_wrong_authority_is_refused(warehouse: Warehouse, certificates: Certificates) -> None:
    for authority in (str(certificates.other_authority), ""):
        message = refused(settings_of(warehouse, tls="verify_ca", tls_ca=authority))
        assert message.startswith("the source's certificate is not accepted: ")


def test_a_certificate_of_another_host_is_refused_only_where_its_name_is_verified(
    warehouse: Warehouse, certificates: Certificates
) -> None:
    elsewhere = {"host": "localhost", "tls_ca": str(certificates.authority)}
    message = refused(settings_of(warehouse, tls="verify_identity", **elsewhere))
    assert "Hostname mismatch" in message
    used(settings_of(warehouse, tls="verify_ca", **elsewhere))


def test_a_plain_connection_is_refused(warehouse: Warehouse) -> None:
    message = refused(settings_of(warehouse, tls="disabled"))
    # MariaDB gives no reason; so the remedy names the setting.
    assert "TLS" in message or "Access denied" in message
    with pytest.raises(SourceError) as error:
        BinlogSource(settings_of(warehouse, tls="disabled")).preflight()
    assert "tls" in error.value.remedy


def test_an_account_that_needs_a_certificate_connects_only_with_it(
    warehouse: Warehouse, certificates: Certificates
) -> None:
    own = {"tls_cert": str(certificates.client), "tls_key": str(certificates.client_key)}
    used(settings_of(warehouse, user="x509", tls="required", **own))
    assert "Access denied" in refused(settings_of(warehouse, user="x509", tls="required"))


def test_a_service_reports_it_in_one_line_and_does_not_retry(
    warehouse: Warehouse, certificates: Certificates, tmp_path: Path
) -> None:
    wrong = environment(warehouse, tls="verify_ca", tls_ca=str(certificates.other_authority))
    done = subprocess.run(
        [sys.executable, "-m", "services.generator", "--seed-only"],
        env={**os.environ, **wrong},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "the source's certificate is not accepted" in line
    assert "check [source] tls_ca" in line
    assert PASSWORD not in line


def test_a_server_without_tls_is_refused_where_it_is_required(stack_settings: Settings) -> None:
    source = stack_settings.source.model_copy(update={"tls": "required"})
    demanding = stack_settings.model_copy(update={"source": source})
    with contextlib.closing(pymysql.connect(**reachable(stack_settings), ssl_disabled=False)) as connection:
        if connection._secure:  # type: ignore[attr-defined]
            pytest.skip("this server makes certificates for itself")
    with pytest.raises(DataFingerprintError, match="the source does not offer TLS"):
        BinlogSource(demanding).preflight()


def reachable(settings: Settings) -> dict[str, Any]:
    source = settings.source
    password = source.password.get_secret_value()
    return {"host": source.host, "port": source.port, "user": source.user, "password": password}
