"""Assets of lake tables."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from airflow_provider_datafingerprint.assets.datafingerprint import lake_table_asset, sanitize_uri


def test_an_asset_is_watched() -> None:
    asset = lake_table_asset("ootp.games", "league")
    assert asset.uri == "datafingerprint://league/ootp.games"
    assert asset.watchers[0].trigger.serialize()[1]["table"] == "ootp.games"


@pytest.mark.parametrize("uri", ["datafingerprint:///a.b", "datafingerprint://h/a"])
def test_an_asset_names_host_and_table(uri: str) -> None:
    with pytest.raises(ValueError, match=r"datafingerprint://host/schema\.table"):
        sanitize_uri(urlsplit(uri))
