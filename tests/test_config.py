"""Settings: every key is documented, unknown ones are refused with the nearest, secrets stay secret."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from datafingerprint.config import EngineSettings, environment_names, load_settings, section_fields
from datafingerprint.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]


def documented_default(default: Any) -> str:  # noqa: ANN401 - a default of any setting
    """A default as the documentation writes it."""
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    if isinstance(default, tuple):
        return ", ".join(f"`{item}`" for item in default) or "none"
    return f"`{default}`" if default != "" else "empty"


def documentation() -> str:
    """The table of all settings, as `docs/configuration.md` must hold it."""
    variables = {place: variable for variable, place in environment_names().items()}
    lines = ["| key | variable | default | meaning |", "|---|---|---|---|"]
    for section, fields in section_fields().items():
        for name, field in fields.items():
            default = documented_default(field.default)
            variable = variables[section, name]
            lines.append(f"| `{section}.{name}` | `{variable}` | {default} | {field.description} |")
    return "\n".join(lines)


def test_every_setting_is_documented_as_it_is() -> None:
    assert documentation() in (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")


def test_every_setting_of_an_engine_is_documented_as_it_is() -> None:
    lines = ["| key | default | meaning |", "|---|---|---|"]
    for name, field in EngineSettings.model_fields.items():
        lines.append(f"| `engines.NAME.{name}` | {documented_default(field.default)} | {field.description} |")
    assert "\n".join(lines) in (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")


def test_an_unknown_setting_of_an_engine_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(ConfigError, match=r"unknown setting engines\.big\.hots: did you mean host\?"):
        load_settings({"engines": {"big": {"hots": "x"}}}, {})


def test_the_example_is_a_valid_file_that_names_every_section() -> None:
    document = tomllib.loads((ROOT / "datafingerprint.toml.example").read_text(encoding="utf-8"))
    load_settings(document, {})
    assert set(section_fields()) <= set(document)


def test_an_unknown_variable_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(ConfigError, match=r"DFP_SOURCE_HOTS: did you mean DFP_SOURCE_HOST\?"):
        load_settings({}, {"DFP_SOURCE_HOTS": "x"})


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"sorce": {}}, r"unknown setting sorce: did you mean source\?"),
        ({"source": {"hots": "x"}}, r"unknown setting source\.hots: did you mean host\?"),
        (
            {"tables": {"a.b": {"partitions": ["c"]}}},
            r"unknown setting tables\.a\.b\.partitions: did you mean partition\?",
        ),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(document: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_settings(document, {})


def test_a_wrong_value_is_refused_without_being_shown() -> None:
    with pytest.raises(ConfigError, match=r"invalid value for setting source\.port") as refused:
        load_settings({}, {"DFP_SOURCE_PORT": "hunter2"})
    assert "hunter2" not in str(refused.value)


def test_the_environment_lies_over_the_file() -> None:
    settings = load_settings({"source": {"host": "file", "user": "file"}}, {"DFP_SOURCE_HOST": "environment"})
    assert (settings.source.host, settings.source.user) == ("environment", "file")


def test_a_list_is_written_with_commas_in_a_variable() -> None:
    settings = load_settings({}, {"DFP_SOURCE_TABLES": "a.*, !a.b"})
    assert settings.source.tables == ("a.*", "!a.b")


def test_other_programs_variables_are_left_alone() -> None:
    assert load_settings({}, {"HOME": "/", "DFP_CONFIG": "elsewhere.toml"}) == load_settings({}, {})


def test_secrets_are_not_shown() -> None:
    settings = load_settings({}, {"DFP_SOURCE_PASSWORD": "hunter2", "DFP_S3_SECRET_KEY": "hunter3"})
    assert "hunter" not in f"{settings!r} {settings}"


def test_a_value_in_place_of_a_section_is_refused() -> None:
    with pytest.raises(ConfigError, match="invalid value for setting source"):
        load_settings({"source": 5}, {"DFP_SOURCE_HOST": "x"})


def test_a_secret_of_another_type_is_refused_without_being_shown() -> None:
    with pytest.raises(ConfigError, match=r"invalid value for setting source\.password") as refused:
        load_settings({"source": {"password": ["hunter2"]}}, {})
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("cells", [-4, 3, 42, 4100])
def test_numbers_of_cells_that_no_sketch_has_are_refused(cells: int) -> None:
    for document in ({"fingerprinter": {"sketch_cells": cells}}, {"tables": {"s.t": {"sketch_cells": cells}}}):
        with pytest.raises(ConfigError, match="sketch_cells"):
            load_settings(document, {})


def test_a_table_may_have_sketches_of_its_own_size_or_none() -> None:
    settings = load_settings({"fingerprinter": {"sketch_cells": 60}, "tables": {"s.t": {"sketch_cells": 0}}}, {})
    assert (settings.sketch_cells("s.t"), settings.sketch_cells("s.other")) == (0, 60)
