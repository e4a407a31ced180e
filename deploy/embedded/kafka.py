"""The embedded broker: Apache Kafka as one process that is its own controller."""

from __future__ import annotations

import base64
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from deploy.embedded.java import JARS, QUIET_SLF4J, java_command, render_properties
from deploy.embedded.part import HOST, Part, PartError, accepts_connections
from deploy.embedded.private import make_private

HEAP = "512m"
REQUEST_TIMEOUT_MS = 5_000


@dataclass(frozen=True)
class Kafka(Part):
    """A Kafka broker.

    Attributes:
        controller_port: The port on which the broker talks to itself as controller.
    """

    controller_port: int

    @property
    def name(self) -> str:
        """See `Part`."""
        return "kafka"

    @property
    def bootstrap(self) -> str:
        """The broker's address, as clients want it."""
        return f"{HOST}:{self.port}"

    def properties(self) -> dict[str, str]:
        """The server's settings."""
        return {
            "node.id": "1",
            "process.roles": "broker,controller",
            "controller.quorum.voters": f"1@{HOST}:{self.controller_port}",
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://{HOST}:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self._logs),
            # Topics are created on purpose, with the settings that they need, or not at all.
            "auto.create.topics.enable": "false",
            # One node: every inner topic has one copy, and few partitions so that a restart is quick.
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "log.cleaner.dedupe.buffer.size": str(32 * 1024 * 1024),
            # After kill -9 the broker is let in again only when its old session has run out (9 s by default).
            "broker.heartbeat.interval.ms": "500",
            "broker.session.timeout.ms": "3000",
        }

    def prepare(self) -> None:
        """Writes the settings, and formats the storage once."""
        make_private(self.directory)
        self._config.write_text(render_properties(self.properties()), encoding="utf-8")
        if not (self._logs / "meta.properties").exists():
            self._format()

    def command(self) -> list[str]:
        """See `Part`."""
        return [*java_command(JARS / "kafka", "kafka.Kafka", heap=HEAP, options=QUIET_SLF4J), str(self._config)]

    def is_ready(self) -> bool:
        """Whether the broker lists its topics, which needs its controller."""
        if not accepts_connections(self.port):
            return False
        try:
            client = KafkaAdminClient(
                bootstrap_servers=self.bootstrap,
                request_timeout_ms=REQUEST_TIMEOUT_MS,
                bootstrap_timeout_ms=REQUEST_TIMEOUT_MS,
            )
        except (KafkaError, OSError):
            return False
        try:
            client.list_topics()
            return len(client.describe_cluster()["brokers"]) == 1
        except (KafkaError, OSError):
            return False
        finally:
            client.close()

    def environment(self) -> dict[str, str]:
        """See `Part`."""
        return {"DFP_KAFKA_BOOTSTRAP": self.bootstrap}

    @property
    def _logs(self) -> Path:
        return self.directory / "data"

    @property
    def _config(self) -> Path:
        return self.directory / "server.properties"

    def _format(self) -> None:
        tool = java_command(JARS / "kafka", "kafka.tools.StorageTool", heap="128m", options=QUIET_SLF4J)
        command = [*tool, "format", "-t", _cluster_id(), "-c", str(self._config)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no input of others
        if done.returncode != 0:
            raise PartError(f"kafka's storage could not be formatted: {done.stderr.strip()}")


def _cluster_id() -> str:
    """A random UUID in Kafka's own spelling; a leading dash would be read as an option."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
