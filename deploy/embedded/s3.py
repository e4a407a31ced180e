"""The embedded object store: S3Proxy over a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from deploy.embedded.java import JARS, java_command, render_properties
from deploy.embedded.part import HOST, Part, accepts_connections
from deploy.embedded.private import make_private, write_private

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

HEAP = "256m"
REGION = "us-east-1"
TIMEOUT_S = 5
# Else the log begins with a hundred lines about logging.
QUIET_LOGBACK = "-Dlogback.statusListenerClass=ch.qos.logback.core.status.NopStatusListener"


@dataclass(frozen=True)
class S3(Part):
    """An S3 server.

    Attributes:
        access_key: The key id that clients sign with.
        secret_key: The secret that belongs to it.
        bucket: The bucket of the lake, created when it is not there.
    """

    access_key: str
    secret_key: str
    bucket: str

    @property
    def name(self) -> str:
        """See `Part`."""
        return "s3"

    @property
    def endpoint(self) -> str:
        """The server's URL."""
        return f"http://{HOST}:{self.port}"

    def properties(self) -> dict[str, str]:
        """The server's settings."""
        return {
            "s3proxy.authorization": "aws-v2-or-v4",
            "s3proxy.endpoint": self.endpoint,
            "s3proxy.identity": self.access_key,
            "s3proxy.credential": self.secret_key,
            # Newer clients send headers that it does not know and need not obey.
            "s3proxy.ignore-unknown-headers": "true",
            "jclouds.provider": "filesystem-nio2",
            "jclouds.identity": "x",
            "jclouds.credential": "x",
            "jclouds.filesystem.basedir": str(self._objects),
        }

    def prepare(self) -> None:
        """Creates the folder of the buckets and writes the settings."""
        make_private(self.directory)
        make_private(self._objects)
        write_private(self._config, render_properties(self.properties()))

    def command(self) -> list[str]:
        """See `Part`."""
        options = ("-DLOG_LEVEL=warn", QUIET_LOGBACK)
        command = java_command(JARS / "s3proxy", "org.gaul.s3proxy.Main", heap=HEAP, options=options)
        return [*command, "--properties", str(self._config)]

    def is_ready(self) -> bool:
        """Whether a signed request is answered and the bucket is there."""
        if not accepts_connections(self.port):
            return False
        client = self.client()
        try:
            names = [bucket.get("Name") for bucket in client.list_buckets()["Buckets"]]
            if self.bucket not in names:
                client.create_bucket(Bucket=self.bucket)
        except (BotoCoreError, ClientError):
            return False
        finally:
            client.close()
        return True

    def environment(self) -> dict[str, str]:
        """See `Part`."""
        return {
            "DFP_S3_ENDPOINT": self.endpoint,
            "DFP_S3_REGION": REGION,
            "DFP_S3_ACCESS_KEY": self.access_key,
            "DFP_S3_SECRET_KEY": self.secret_key,
            "DFP_S3_BUCKET": self.bucket,
        }

    def client(self) -> S3Client:
        """A client of this server; the caller closes it."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(
                connect_timeout=TIMEOUT_S,
                read_timeout=TIMEOUT_S,
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path"},
            ),
        )

    @property
    def _objects(self) -> Path:
        return self.directory / "data"

    @property
    def _config(self) -> Path:
        return self.directory / "s3proxy.properties"
