"""One Airflow: its folder, its secrets, and the settings of its processes."""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.part import HOST
from deploy.embedded.private import make_private, write_private

CHECKOUT = Path(__file__).resolve().parents[2]
DAGS = Path(__file__).parent / "dags"
PROGRAMS = CHECKOUT / ".local" / "airflow" / "venv" / "bin"
USER = "admin"
TASKS_AT_ONCE = 4
ANY_ADDRESS = (None, "", "0.0.0.0", "::")  # noqa: S104 - nothing listens there: this machine is asked instead


@dataclass(frozen=True)
class AirflowInstallation:
    """An Airflow on SQLite, with the DAGs of this project and a connection to one system.

    Attributes:
        directory: All that it keeps is below it.
        ports: By name: `airflow`, `task_logs`, `trigger_logs`.
    """

    directory: Path
    ports: Mapping[str, int]

    @property
    def url(self) -> str:
        """The web page."""
        return f"http://{HOST}:{self.ports['airflow']}"

    @property
    def passwords_file(self) -> Path:
        """Holds the password of each user."""
        return self.directory / "passwords.json"

    def program(self, name: str = "airflow") -> str:
        """A program of Airflow's own environment."""
        return str(PROGRAMS / name)

    def log(self, name: str) -> Path:
        """The log file of a process."""
        return self.directory / "logs" / f"{name}.out"

    def prepare(self) -> str:
        """Makes the folder and the secrets unless they exist. Returns: the user's password."""
        make_private(self.directory)
        make_private(self.directory / "logs")
        if not self._keys_file.exists():
            keys = {name: secrets.token_urlsafe(48) for name in ("jwt", "api")}
            keys["fernet"] = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
            write_private(self._keys_file, json.dumps(keys))
        if not self.passwords_file.exists():
            write_private(self.passwords_file, json.dumps({USER: secrets.token_urlsafe(12)}))
        password: str = json.loads(self.passwords_file.read_text(encoding="utf-8"))[USER]
        return password

    def environment(self, system: Mapping[str, str]) -> dict[str, str]:
        """The variables of every process of Airflow.

        Args:
            system: The `DFP_` variables of the system that its tasks talk to.
        """
        keys = json.loads(self._keys_file.read_text(encoding="utf-8"))
        settings = {
            "core": {
                "dags_folder": str(DAGS),
                "load_examples": "False",
                "parallelism": str(TASKS_AT_ONCE),
                "simple_auth_manager_users": f"{USER}:admin",
                "simple_auth_manager_passwords_file": str(self.passwords_file),
                "execution_api_server_url": f"{self.url}/execution/",
                "fernet_key": keys["fernet"],
            },
            "database": {"sql_alchemy_conn": f"sqlite:///{self.directory}/airflow.db"},
            "api": {
                "host": HOST,
                "port": str(self.ports["airflow"]),
                "base_url": self.url,
                "workers": "1",
                "secret_key": keys["api"],
            },
            "api_auth": {"jwt_secret": keys["jwt"]},
            "logging": {
                "base_log_folder": str(self.directory / "logs"),
                "worker_log_server_port": str(self.ports["task_logs"]),
                "trigger_log_server_port": str(self.ports["trigger_logs"]),
            },
            "dag_processor": {"refresh_interval": "30"},
            "usage_data_collection": {"enabled": "False"},
        }
        return {
            **{
                f"AIRFLOW__{section.upper()}__{name.upper()}": value
                for section, values in settings.items()
                for name, value in values.items()
            },
            "AIRFLOW_HOME": str(self.directory),
            "AIRFLOW_CONN_DATAFINGERPRINT_DEFAULT": connection(system),
            # Tasks run `datafingerprint`; Airflow's own programs come first.
            "PATH": f"{PROGRAMS}:{os.environ.get('PATH', os.defpath)}",
        }

    @property
    def _keys_file(self) -> Path:
        return self.directory / "keys.json"


def connection(system: Mapping[str, str]) -> str:
    """The connection `datafingerprint_default` to a system, as Airflow reads it from a variable."""
    return json.dumps(
        {
            "conn_type": "datafingerprint",
            "host": HOST if system.get("DFP_API_HOST") in ANY_ADDRESS else system["DFP_API_HOST"],
            "port": int(system["DFP_API_PORT"]),
            "password": system.get("DFP_API_TOKEN", ""),
        }
    )
