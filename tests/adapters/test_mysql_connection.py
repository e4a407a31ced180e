"""Settings about TLS that would do less than they seem to are refused before anything is connected."""

from __future__ import annotations

from pathlib import Path

import pytest

from datafingerprint.adapters.mysql_connection import connect
from datafingerprint.config import load_settings
from datafingerprint.errors import ConfigError


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tls": "required", "tls_ca": "ca.pem"}, r"source\.tls_ca is of no use with source\.tls = required"),
        ({"tls_ca": "ca.pem"}, r"source\.tls_ca is of no use with source\.tls = preferred"),
        ({"tls": "disabled", "tls_cert": "own.pem"}, r"source\.tls_cert is of no use"),
        ({"tls": "required", "tls_cert": "own.pem"}, "belong together"),
        ({"tls": "verify_ca", "tls_ca": "nowhere.pem"}, r"there is no file nowhere\.pem"),
        ({"tls": "verify_ca", "tls_ca": "empty.pem"}, r"a file of \[source\] tls cannot be used"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    given: dict[str, str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.pem").touch()
    with pytest.raises(ConfigError, match=said):
        connect(load_settings({"source": given}, {}).source)


def test_a_mode_is_known_in_either_case_and_no_other_is() -> None:
    assert load_settings({}, {"DFP_SOURCE_TLS": "VERIFY_CA"}).source.tls == "verify_ca"
    with pytest.raises(ConfigError, match=r"setting source\.tls is not fit"):
        load_settings({}, {"DFP_SOURCE_TLS": "maybe"})
