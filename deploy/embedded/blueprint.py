"""The parts of a data directory, with their ports and keys."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from deploy.embedded.kafka import Kafka
from deploy.embedded.mariadb import MariaDB
from deploy.embedded.mysql import MySQL
from deploy.embedded.part import Part
from deploy.embedded.ports import PREFERRED, settle_ports
from deploy.embedded.private import make_private, socket_folder, write_private
from deploy.embedded.s3 import S3
from deploy.embedded.warehouse import Warehouse

SourceName = Literal["mariadb", "mysql"]
_WAREHOUSES: dict[SourceName, type[Warehouse]] = {"mariadb": MariaDB, "mysql": MySQL}
BUCKET = "dfp-lake"
USER = "dfp"


@dataclass(frozen=True)
class Keys:
    """The secrets of one data directory, generated when it is created."""

    source_password: str
    s3_access_key: str
    s3_secret_key: str


@dataclass(frozen=True)
class Blueprint:
    """All facts about a system before its processes start.

    Attributes:
        directory: The data directory.
        ports: By name: source, kafka, kafka_controller, s3, api.
        keys: The parts' secrets.
        source: The kind of the warehouse.
    """

    directory: Path
    ports: Mapping[str, int]
    keys: Keys
    source: SourceName = "mariadb"

    @property
    def sockets(self) -> Path:
        """The folder of the unix sockets."""
        return socket_folder(self.directory)

    @property
    def warehouse(self) -> Warehouse:
        """The source: MariaDB or MySQL."""
        return _WAREHOUSES[self.source](
            directory=self.directory / self.source,
            port=self.ports["source"],
            sockets=self.sockets,
            user=USER,
            password=self.keys.source_password,
        )

    @property
    def kafka(self) -> Kafka:
        """The broker."""
        return Kafka(
            directory=self.directory / "kafka",
            port=self.ports["kafka"],
            controller_port=self.ports["kafka_controller"],
        )

    @property
    def s3(self) -> S3:
        """The object store."""
        return S3(
            directory=self.directory / "s3",
            port=self.ports["s3"],
            access_key=self.keys.s3_access_key,
            secret_key=self.keys.s3_secret_key,
            bucket=BUCKET,
        )

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts, in the order of the data's flow."""
        return (self.warehouse, self.kafka, self.s3)

    def log(self, name: str) -> Path:
        """The log file of a part or service."""
        return self.directory / "logs" / f"{name}.log"

    def environment(self) -> dict[str, str]:
        """The `DFP_` variables that point every service at these parts."""
        variables = {
            "DFP_LAKE_CATALOG": f"sqlite:///{self.directory / 'catalog.db'}",
            "DFP_STATE_URL": f"sqlite:///{self.directory / 'state.db'}",
            "DFP_API_PORT": str(self.ports["api"]),
        }
        for part in self.parts:
            variables |= part.environment()
        return variables


def draw_blueprint(
    directory: Path, preferred: Mapping[str, int] = PREFERRED, source: SourceName = "mariadb"
) -> Blueprint:
    """Creates a data directory, or reads an existing one.

    An existing one keeps its keys, and its ports if they are free.
    """
    directory = make_private(directory).resolve()
    make_private(directory / "logs")
    return Blueprint(
        directory=directory,
        ports=settle_ports(directory / "ports.json", preferred),
        keys=_settle_keys(directory / "keys.json"),
        source=source,
    )


def _settle_keys(file: Path) -> Keys:
    if not file.exists():
        made = {field.name: secrets.token_hex(16) for field in fields(Keys)}
        write_private(file, json.dumps(made, indent=2) + "\n")
    return Keys(**json.loads(file.read_text(encoding="utf-8")))
