"""The files of an export: which there are, and their lines as they were written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from datafingerprint.errors import ConfigError
from services.generator.export import Part, parts

_REMEDY = "name the folder of an export's .sql files with --seed-dir"
_MARK = "\ufeff"  # some editors begin a file in UTF-8 with it


def export_files(folder: Path) -> list[Path]:
    """The files of an export, in the order of their names.

    Raises:
        ConfigError: the folder is not there, cannot be read, or has none.
    """
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix == ".sql" and not path.is_dir())
    except FileNotFoundError:
        raise ConfigError("there is no such folder", where=str(folder), remedy=_REMEDY) from None
    except OSError as error:
        raise ConfigError(f"cannot read the folder ({error.strerror})", where=str(folder), remedy=_REMEDY) from None
    if not found:
        raise ConfigError("there are no .sql files", where=str(folder), remedy=_REMEDY)
    return found


def parts_of(path: Path) -> Iterator[Part]:
    """The statements of a file.

    Raises:
        ConfigError: it cannot be read, or not as an export; with file, line and reason.
    """
    line = 0

    def lines() -> Iterator[str]:
        nonlocal line
        with path.open("rb") as file:
            for octets in file:
                line += 1
                # Line ends stay as they are: within a text they are the text's.
                text = octets.decode("utf-8")
                yield text.removeprefix(_MARK) if line == 1 else text

    try:
        yield from parts(lines(), str(path))
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"not UTF-8 ({error.reason})",
            where=f"{path} line {line}",
            remedy="write the export anew in UTF-8 (mysqldump: with --hex-blob)",
        ) from None
    except OSError as error:
        raise ConfigError(
            f"cannot read a seed file ({error.strerror})", where=str(path), remedy="let the generator read it"
        ) from None
