"""TLS settings that protect less than they seem to are refused before any connection."""

from __future__ import annotations

from pathlib import Path

import pytest

from datafingerprint.adapters.mysql.connection import connect
from datafingerprint.config import load_settings
from datafingerprint.errors import ConfigError


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tls": "required", "tls_ca": "ca.pem"}, r"source\.tls_ca has no effect with source\.tls = required"),
        ({"tls_ca": "ca.pem"}, r"source\.tls_ca has no effect with source\.tls = preferred"),
        ({"tls": "disabled", "tls_cert": "own.pem"}, r"source\.tls_cert has no effect"),
        ({"tls": "required", "tls_cert": "own.pem"}, "belong together"),
        ({"tls": "verify_ca", "tls_ca": "nowhere.pem"}, r"there is no file nowhere\.pem"),
        ({"tls": "verify_ca", "tls_ca": "empty.pem"}, r"a file of \[source\] tls cannot be used"),
    ],
)
def test_contradicting_settings_are_refused(
    given: dict[str, str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.pem").touch()
    with pytest.raises(ConfigError, match=message):
        connect(load_settings({"source": given}, {}).source)


def test_a_mode_is_known_in_either_case_and_no_other_is() -> None:
    assert load_settings({}, {"DFP_SOURCE_TLS": "VERIFY_CA"}).source.tls == "verify_ca"
    with pytest.raises(ConfigError, match=r"invalid value for setting source\.tls"):
        load_settings({}, {"DFP_SOURCE_TLS": "maybe"})
