"""The Airflow of `./run airflow`: its secrets, its settings, its connection; and what its DAGs are called."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

from deploy.airflow.__main__ import PORTS, is_well
from deploy.airflow.installation import DAGS, AirflowInstallation, connection

ROOT = Path(__file__).parents[2]
SYSTEM = {"DFP_API_PORT": "8001", "DFP_API_TOKEN": "t"}


def installation(folder: Path) -> AirflowInstallation:
    return AirflowInstallation(folder / "home", PORTS)


def test_secrets_are_made_once_and_for_their_owner_alone(tmp_path: Path) -> None:
    password = installation(tmp_path).prepare()
    assert len(password) >= 16
    first = installation(tmp_path).environment(SYSTEM)
    assert installation(tmp_path).prepare() == password
    assert installation(tmp_path).environment(SYSTEM) == first
    for name in ("passwords.json", "keys.json"):
        assert stat.S_IMODE((tmp_path / "home" / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700
    secrets = [first[f"AIRFLOW__{name}"] for name in ("API_AUTH__JWT_SECRET", "API__SECRET_KEY", "CORE__FERNET_KEY")]
    assert len({*secrets, password}) == 4


def test_it_listens_on_this_machine_only_and_sends_nothing_home(tmp_path: Path) -> None:
    installation(tmp_path).prepare()
    settings = installation(tmp_path).environment(SYSTEM)
    assert settings["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert settings["AIRFLOW__USAGE_DATA_COLLECTION__ENABLED"] == "False"
    assert settings["AIRFLOW__CORE__DAGS_FOLDER"] == str(DAGS)


def test_the_connection_leads_to_the_running_system() -> None:
    made = json.loads(connection(SYSTEM))
    assert made == {"conn_type": "datafingerprint", "host": "127.0.0.1", "port": 8001, "password": "t"}
    assert json.loads(connection({**SYSTEM, "DFP_API_HOST": "0.0.0.0"}))["host"] == "127.0.0.1"  # noqa: S104
    assert json.loads(connection({**SYSTEM, "DFP_API_HOST": "10.0.0.7"}))["host"] == "10.0.0.7"


def test_an_airflow_that_does_not_answer_is_not_well() -> None:
    assert not is_well("http://127.0.0.1:1")


def test_the_page_names_every_dag() -> None:
    page = (ROOT / "docs/airflow.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(dfp_\w+)`", page, re.MULTILINE)) == {file.stem for file in DAGS.glob("*.py")}
