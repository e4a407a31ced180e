"""All tables of a lake share one S3 file system; another login or endpoint has its own."""

from __future__ import annotations

from datafingerprint.adapters.iceberg.connection import LakeFileIO

PROPERTIES = {
    "s3.endpoint": "http://127.0.0.1:9",
    "s3.access-key-id": "a",
    "s3.secret-access-key": "b",
    "s3.region": "us-east-1",
}


def test_tables_share_a_file_system_unless_their_login_differs() -> None:
    first, second = (LakeFileIO(PROPERTIES)._initialize_s3_fs("lake") for _ in range(2))
    assert first is second
    other = LakeFileIO(PROPERTIES | {"s3.secret-access-key": "c"})._initialize_s3_fs("lake")
    assert other is not first
