"""Settings that were renamed work under their old name, and the old name is reported."""

from __future__ import annotations

from typing import Any

import pytest

from datafingerprint.config import RENAMED, load_settings, renamed_settings, section_fields
from datafingerprint.errors import ConfigError


def test_every_old_name_leads_to_a_setting_and_is_none_itself() -> None:
    fields = section_fields()
    assert all(field in fields[section] for section, field in RENAMED.values())
    assert not [old for old in RENAMED if old[1] in fields[old[0]]]


@pytest.mark.parametrize(
    ("document", "environment", "renamed"),
    [
        ({"cdc": {"spill_octets": 5}}, {}, {"cdc.spill_octets": "cdc.spill_bytes"}),
        ({}, {"DFP_CDC_SPILL_OCTETS": "5"}, {"DFP_CDC_SPILL_OCTETS": "DFP_CDC_SPILL_BYTES"}),
        # A variable replaces a value of the file, whichever of the two has the old name.
        ({"cdc": {"spill_octets": 9}}, {"DFP_CDC_SPILL_BYTES": "5"}, {"cdc.spill_octets": "cdc.spill_bytes"}),
        (
            {"cdc": {"spill_bytes": 9}},
            {"DFP_CDC_SPILL_OCTETS": "5"},
            {"DFP_CDC_SPILL_OCTETS": "DFP_CDC_SPILL_BYTES"},
        ),
        ({"cdc": {"spill_bytes": 5}}, {}, {}),
    ],
)
def test_an_old_name_sets_the_value_and_is_reported(
    document: dict[str, Any], environment: dict[str, str], renamed: dict[str, str]
) -> None:
    assert load_settings(document, environment).cdc.spill_bytes == 5
    assert renamed_settings(document, environment) == renamed


@pytest.mark.parametrize(
    ("document", "environment", "old"),
    [
        ({"cdc": {"spill_octets": 5, "spill_bytes": 5}}, {}, "cdc.spill_octets"),
        ({}, {"DFP_CDC_SPILL_OCTETS": "5", "DFP_CDC_SPILL_BYTES": "5"}, "DFP_CDC_SPILL_OCTETS"),
    ],
)
def test_both_names_at_once_are_refused(document: dict[str, Any], environment: dict[str, str], old: str) -> None:
    with pytest.raises(ConfigError, match=f"both {old} and .* are set: remove {old}"):
        load_settings(document, environment)


def test_a_wrong_value_under_an_old_name_is_refused_under_the_new_one() -> None:
    with pytest.raises(ConfigError, match=r"cdc\.spill_bytes"):
        load_settings({"cdc": {"spill_octets": "many"}}, {})
    assert load_settings({"kafka": {"prefix": "x"}}, {}).kafka.prefix == "x"
