"""A store over https with a private authority, and every source of keys."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from datafingerprint.adapters.iceberg.checkup import LakeCheckup
from datafingerprint.adapters.iceberg.connection import LakeFileIO, file_properties, require_bucket
from datafingerprint.adapters.iceberg.errors import translated
from datafingerprint.checkup import Severity
from datafingerprint.config import Settings, load_settings
from datafingerprint.errors import ConfigError
from deploy.embedded.ports import free_ports
from tests.certificates import make_certificates
from tests.secure_parts import SecureS3, running

pytestmark = pytest.mark.live

SECRET = "not-shown-anywhere"
BUCKET = "lake"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureS3]:
    folder = tmp_path_factory.mktemp("store")
    port, https_port = free_ports(2)
    certificates = make_certificates(folder / "certificates")
    part = SecureS3(folder / "s3", port, "key", SECRET, BUCKET, certificates, https_port)
    with running(part, folder):
        yield part


def variables(store: SecureS3, **more: str) -> dict[str, str]:
    return {
        "DFP_S3_ENDPOINT": store.https,
        "DFP_S3_BUCKET": BUCKET,
        "DFP_S3_CA_FILE": str(store.certificates.authority),
        "DFP_LAKE_CATALOG": "sqlite:////nowhere/catalog.db",
        **more,
    }


def settings_of(store: SecureS3, **more: str) -> Settings:
    keys = {"DFP_S3_ACCESS_KEY": "key", "DFP_S3_SECRET_KEY": SECRET}
    return load_settings({}, variables(store, **{**keys, **more}))


def problems(settings: Settings) -> list[str]:
    return [result.text for result in LakeCheckup(settings).findings(None) if result.severity is not Severity.OK]


def test_objects_are_put_and_read_over_https_by_both_clients(store: SecureS3) -> None:
    assert problems(settings_of(store)) == []


def test_a_temporary_key_is_sent_with_its_token(store: SecureS3) -> None:
    assert problems(settings_of(store, DFP_S3_SESSION_TOKEN="of-the-key")) == []
    given = file_properties(settings_of(store, DFP_S3_SESSION_TOKEN="of-the-key").s3)
    assert given["s3.session-token"] == "of-the-key"


def test_a_wrong_authority_stops_both_clients_with_one_line(store: SecureS3) -> None:
    wrong = settings_of(store, DFP_S3_CA_FILE=str(store.certificates.other_authority))
    with pytest.raises(ConfigError, match="the store's certificate is not accepted") as error:
        require_bucket(wrong.s3)
    assert "ca_file" in error.value.remedy
    with (
        pytest.raises(ConfigError, match="the store's certificate is not accepted"),
        translated("reading", where="the store"),
    ):
        LakeFileIO(file_properties(wrong.s3)).new_input(f"s3://{BUCKET}/x").open()


def test_a_wrong_key_is_a_problem_that_does_not_show_it(store: SecureS3) -> None:
    (problem,) = problems(settings_of(store, DFP_S3_SECRET_KEY="wrong-one"))
    assert "refused" in problem
    assert "wrong-one" not in problem


PROGRAM = """
from datafingerprint.adapters.iceberg.checkup import LakeCheckup
from datafingerprint.adapters.runtime.settings import read_settings
for result in LakeCheckup(read_settings()).findings(None):
    if result.severity != "ok":
        print(result.text)
"""


@pytest.mark.parametrize("key_source", ["environment", "profile", "nowhere"])
def test_without_configured_keys_those_of_the_machine_are_used(
    store: SecureS3, key_source: str, tmp_path: Path
) -> None:
    file = tmp_path / "credentials"
    file.write_text(f"[lake]\naws_access_key_id = key\naws_secret_access_key = {SECRET}\n", encoding="utf-8")
    given = {
        "environment": {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": "token"},
        "profile": {"AWS_PROFILE": "lake", "AWS_SHARED_CREDENTIALS_FILE": str(file)},
        "nowhere": {},
    }[key_source]
    others = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DFP_"))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**others, "HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true", **variables(store), **given},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert ("there are no keys to sign with" in done.stdout) == (key_source == "nowhere")
    assert done.stdout == "" or key_source == "nowhere"
