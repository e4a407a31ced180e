"""The client's errors arrive as this project's: what may heal is retried, what cannot stops."""

from __future__ import annotations

import pymysql
import pytest

from datafingerprint.adapters.mysql.warehouse import MysqlWarehouse
from datafingerprint.config import Source
from datafingerprint.errors import DataFingerprintError, SourceError, Unavailable


def translated(error: Exception) -> DataFingerprintError:
    warehouse = MysqlWarehouse(Source(host="db", port=3306), "ootp")
    with pytest.raises(DataFingerprintError) as caught, warehouse._translated():
        raise error
    return caught.value


@pytest.mark.parametrize("code", [2003, 2006, 2013, 1040, 1053, 1205, 1213, 1927, 3169, 4031])
def test_what_may_heal_is_unavailable(code: int) -> None:
    assert isinstance(translated(pymysql.OperationalError(code, "gone")), Unavailable)


def test_a_connection_closed_under_us_is_unavailable() -> None:
    assert isinstance(translated(pymysql.InterfaceError(0, "")), Unavailable)


@pytest.mark.parametrize("code", [1044, 1045, 1049, 1142, 1227, 1290, 1054, 1146])
def test_what_an_operator_has_to_mend_stops_and_says_how(code: int) -> None:
    error = translated(pymysql.OperationalError(code, "no"))
    assert isinstance(error, SourceError)
    assert error.where == "db:3306 schema ootp"
    assert error.remedy
    assert "{" not in error.remedy


def test_a_value_in_a_message_of_the_server_is_not_repeated() -> None:
    error = translated(pymysql.IntegrityError(1062, "Duplicate entry 'secret' for key 'PRIMARY'"))
    assert "secret" not in str(error)
    assert "1062" in str(error)


def test_a_login_that_lacks_a_package_stops() -> None:
    assert isinstance(translated(RuntimeError("'cryptography' package is required")), SourceError)
