"""Reads the settings from `datafingerprint.toml` and the environment."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from datafingerprint.config import (
    CONFIG_VARIABLE,
    ENVIRONMENT_PREFIX,
    Settings,
    load_settings,
    renamed_settings,
    secret_names,
    with_absolute_paths,
)
from datafingerprint.errors import ConfigError

DEFAULT_FILE = "datafingerprint.toml"
FILE_SUFFIX = "_file"
_PASSWORD = re.compile(r"://[^/?]*:.*@|[?&]password=")


def read_settings(path: str | None = None) -> Settings:
    """Read the settings of this process from a file and the environment; variables win.

    A secret may be given as the name of a file that holds it: `source.password_file`, `DFP_SOURCE_PASSWORD_FILE`.
    Relative paths in the settings file start at its directory, those in variables at the working directory.

    Args:
        path: The settings file; None reads `$DFP_CONFIG` or the default file.

    Raises:
        ConfigError: the file is missing, not UTF-8 or not TOML, a secret's file cannot be read, or a setting is wrong.
    """
    environment = _with_secrets_of_files(os.environ)
    document = _parsed(path)
    if document is None:
        return load_settings({}, environment)
    directory = settings_file(path).absolute().parent
    return load_settings(with_absolute_paths(_document_with_secrets(document, directory), directory), environment)


def exposed_files(path: str | None = None) -> tuple[Path, ...]:
    """Files that hold a secret and that every account of the machine may read.

    Raises:
        ConfigError: as `read_settings`.
    """
    return tuple(sorted({file for file in _files_with_secrets(path) if _is_open_to_all(file)}))


def settings_under_old_names(path: str | None = None) -> dict[str, str]:
    """Maps each old name of a setting in the file and the environment to its present name.

    Raises:
        ConfigError: as `read_settings`.
    """
    return renamed_settings(_parsed(path) or {}, os.environ)


def _files_with_secrets(path: str | None) -> Iterator[Path]:
    for section, field in secret_names():
        named = os.environ.get(f"{ENVIRONMENT_PREFIX}{section}_{field}{FILE_SUFFIX}".upper())
        if named:
            yield Path(named)
    file, document = settings_file(path), _parsed(path) or {}
    holders = [(document.get(section), field) for section, field in secret_names()]
    engines = document.get("engines")
    holders += [(values, "password") for values in (engines.values() if isinstance(engines, dict) else ())]
    for values, field in holders:
        if not isinstance(values, dict):
            continue
        named = values.get(f"{field}{FILE_SUFFIX}")
        if named:
            yield file.absolute().parent / str(named)
        elif _is_secret(values.get(field)):
            yield file


def _is_secret(value: object) -> bool:
    """Whether a value is secret. A URL without a password is not."""
    return isinstance(value, str) and bool(value) and ("://" not in value or _PASSWORD.search(value) is not None)


def _is_open_to_all(file: Path) -> bool:
    try:
        return bool(file.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def _parsed(path: str | None) -> dict[str, Any] | None:
    """The content of the settings file; None if none is named and the default does not exist."""
    named, file = path or os.environ.get(CONFIG_VARIABLE), settings_file(path)
    if not named and not file.exists():
        return None
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"cannot read {file} ({error.strerror})",
            remedy=f"name a file that this user may read in {CONFIG_VARIABLE} or --config",
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is not TOML ({error})", remedy="correct it at that place") from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{file} is not UTF-8, at byte {error.start}", remedy="save it as UTF-8; TOML has no other encoding"
        ) from None


def settings_file(path: str | None = None) -> Path:
    """The file that `read_settings` reads, if it exists."""
    return Path(path or os.environ.get(CONFIG_VARIABLE) or DEFAULT_FILE)


def _with_secrets_of_files(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment, with each `DFP_…_FILE` replaced by the secret in that file."""
    variables = dict(environment)
    for section, field in secret_names():
        variable = f"{ENVIRONMENT_PREFIX}{section}_{field}".upper()
        named = f"{variable}{FILE_SUFFIX.upper()}"
        if named in variables:
            path = variables.pop(named)
            if variable in variables:
                raise ConfigError(f"both {variable} and {named} are set", remedy="keep one of them")
            variables[variable] = _secret(named, Path(path))
    return variables


def _document_with_secrets(document: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    """The settings file, with each `…_file` replaced by the secret in that file."""
    sections = {name: dict(values) if isinstance(values, Mapping) else values for name, values in document.items()}
    for section, field in secret_names():
        values, named = sections.get(section), f"{field}{FILE_SUFFIX}"
        if isinstance(values, dict) and named in values:
            if field in values:
                raise ConfigError(f"both {section}.{field} and {section}.{named} are set", remedy="keep one of them")
            values[field] = _named_secret(f"{section}.{named}", values.pop(named), directory)
    engines = sections.get("engines")
    if isinstance(engines, dict):
        sections["engines"] = {
            name: _with_password(f"engines.{name}", values, directory) for name, values in engines.items()
        }
    return sections


def _with_password(section: str, values: Any, directory: Path) -> Any:  # noqa: ANN401 - a parsed section
    """An engine's section, with `password_file` replaced by the password in that file."""
    named = f"password{FILE_SUFFIX}"
    if not isinstance(values, dict) or named not in values:
        return values
    if "password" in values:
        raise ConfigError(f"both {section}.password and {section}.{named} are set", remedy="keep one of them")
    others = {name: value for name, value in values.items() if name != named}
    return {**others, "password": _named_secret(f"{section}.{named}", values[named], directory)}


def _named_secret(setting: str, path: object, directory: Path) -> str:
    """A secret from a file that the settings file names, relative to its directory."""
    if not isinstance(path, str) or not path:
        raise ConfigError(
            f"invalid value for setting {setting}", remedy="write the name of a file that holds the secret"
        )
    return _secret(setting, directory / path)


def _secret(setting: str, path: Path) -> str:
    """A secret from its file, without the newline that editors add."""
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", "") or "not UTF-8"
        raise ConfigError(
            f"{setting}: cannot read {path} ({reason})", remedy="name a file of UTF-8 text that this user may read"
        ) from None
