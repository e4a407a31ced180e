"""Reads the settings from `datafingerprint.toml` and the environment."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from datafingerprint.config import CONFIG_VARIABLE, Settings, load_settings
from datafingerprint.errors import ConfigError

DEFAULT_FILE = "datafingerprint.toml"


def read_settings(path: str | None = None) -> Settings:
    """The settings of this process: the file named (or `$DFP_CONFIG`, or the default one), environment over it.

    Raises:
        ConfigError: the file named is missing or no TOML, or a setting is wrong.
    """
    named = path or os.environ.get(CONFIG_VARIABLE)
    file = Path(named or DEFAULT_FILE)
    if not named and not file.exists():
        return load_settings({}, os.environ)
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {file}", remedy=str(error.strerror)) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is no TOML", remedy=str(error)) from None
    return load_settings(document, os.environ)
