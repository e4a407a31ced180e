"""Reads the settings from `datafingerprint.toml` and the environment."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datafingerprint.config import CONFIG_VARIABLE, ENVIRONMENT_PREFIX, Settings, load_settings, secret_names
from datafingerprint.errors import ConfigError

DEFAULT_FILE = "datafingerprint.toml"
FILE_SUFFIX = "_file"


def read_settings(path: str | None = None) -> Settings:
    """The settings of this process: the file named (or `$DFP_CONFIG`, or the default one), environment over it.

    Every secret may be given as the name of a file that holds it: `source.password_file`, `DFP_SOURCE_PASSWORD_FILE`.

    Raises:
        ConfigError: the file named is missing, no UTF-8 or no TOML, a secret's file cannot be read, or a setting is
            wrong.
    """
    named, file = path or os.environ.get(CONFIG_VARIABLE), settings_file(path)
    if not named and not file.exists():
        return load_settings({}, _with_secrets_of_files(os.environ))
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {file}", remedy=str(error.strerror)) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is no TOML", remedy=str(error)) from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{file} is no UTF-8, at byte {error.start}", remedy="save it as UTF-8; TOML has no other encoding"
        ) from None
    return load_settings(_document_with_secrets(document), _with_secrets_of_files(os.environ))


def settings_file(path: str | None = None) -> Path:
    """The file that `read_settings` reads, if it is there."""
    return Path(path or os.environ.get(CONFIG_VARIABLE) or DEFAULT_FILE)


def _with_secrets_of_files(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment, each `DFP_…_FILE` of a secret replaced by what the file holds."""
    found = dict(environment)
    for section, field in secret_names():
        variable = f"{ENVIRONMENT_PREFIX}{section}_{field}".upper()
        named = f"{variable}{FILE_SUFFIX.upper()}"
        if named in found:
            path = found.pop(named)
            if variable in found:
                raise ConfigError(f"both {variable} and {named} are set", remedy="keep one of them")
            found[variable] = _secret(named, path)
    return found


def _document_with_secrets(document: Mapping[str, Any]) -> dict[str, Any]:
    """The settings file, each `…_file` of a secret replaced by what that file holds."""
    found = {name: dict(values) if isinstance(values, Mapping) else values for name, values in document.items()}
    for section, field in secret_names():
        values, named = found.get(section), f"{field}{FILE_SUFFIX}"
        if isinstance(values, dict) and named in values:
            path = values.pop(named)
            if field in values:
                raise ConfigError(f"both {section}.{field} and {section}.{named} are set", remedy="keep one of them")
            values[field] = _secret(f"{section}.{named}", str(path))
    engines = found.get("engines")
    if isinstance(engines, dict):
        found["engines"] = {name: _with_password(f"engines.{name}", values) for name, values in engines.items()}
    return found


def _with_password(section: str, values: Any) -> Any:  # noqa: ANN401 - a section as it was parsed
    """An engine's section, its `password_file` replaced by what that file holds."""
    named = f"password{FILE_SUFFIX}"
    if not isinstance(values, dict) or named not in values:
        return values
    if "password" in values:
        raise ConfigError(f"both {section}.password and {section}.{named} are set", remedy="keep one of them")
    others = {name: value for name, value in values.items() if name != named}
    return {**others, "password": _secret(f"{section}.{named}", str(values[named]))}


def _secret(setting: str, path: str) -> str:
    """A secret from its file, without the line end that editors add."""
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{setting}: cannot read {path}", remedy=getattr(error, "strerror", "") or "no text"
        ) from None
