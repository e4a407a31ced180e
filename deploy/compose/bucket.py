"""`python -m deploy.compose.bucket`: makes the lake's bucket as soon as the store answers."""

from __future__ import annotations

import contextlib
import sys

import click
from botocore.exceptions import BotoCoreError, ClientError

from datafingerprint.adapters.iceberg.connection import require_bucket, s3_client
from datafingerprint.adapters.runtime.settings import read_settings
from datafingerprint.config import S3
from datafingerprint.errors import DataFingerprintError
from datafingerprint.exit_statuses import ExitStatus
from deploy.embedded.waiting import await_condition


@click.command()
@click.option("--within", type=click.FloatRange(min=0), default=60.0, help="Seconds that the store may take to start.")
def main(within: float) -> None:
    """Exit status 0 when the bucket is there, 1 when it is not, with the reason."""
    s3 = read_settings().s3
    if not await_condition(lambda: is_made(s3), timeout_s=within, pause_s=0.5):
        try:
            require_bucket(s3)
        except DataFingerprintError as error:
            click.echo(f"bucket: {error}", err=True)
            sys.exit(ExitStatus.FAILED)


def is_made(s3: S3) -> bool:
    """Creates the bucket if it is missing; False if the store does not answer yet."""
    with contextlib.closing(s3_client(s3)) as client, contextlib.suppress(BotoCoreError, ClientError):
        names = [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]
        if s3.bucket not in names:
            client.create_bucket(Bucket=s3.bucket)
        return True
    return False


if __name__ == "__main__":
    main()
