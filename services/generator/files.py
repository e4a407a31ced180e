"""The files of an export, and their lines as they were written."""

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
        ConfigError: the folder does not exist, cannot be read, or has no such file.
    """
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix == ".sql" and not path.is_dir())
    except FileNotFoundError:
        raise ConfigError("there is no such folder", where=str(folder), remedy=_REMEDY) from None
    except OSError as error:
        raise ConfigError(f"cannot read the folder ({error.strerror})", where=str(folder), remedy=_REMEDY) from None
    if not files:
        raise ConfigError("there are no .sql files", where=str(folder), remedy=_REMEDY)
    return files


def parts_of(path: Path) -> Iterator[Part]:
    """The statements of a file.

    Raises:
        ConfigError: the file cannot be read, or is not an export. The error has file and line.
    """
    line = 0

    def lines() -> Iterator[str]:
        nonlocal line
        with path.open("rb") as file:
            for raw in file:
                line += 1
                # Line ends stay as they are: one may be inside a quoted text.
                text = raw.decode("utf-8")
                yield text.removeprefix(_MARK) if line == 1 else text

    try:
        yield from parts(lines(), str(path))
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"not UTF-8 ({error.reason})",
            where=f"{path} line {line}",
            remedy="write the export again in UTF-8 (mysqldump: with --hex-blob)",
        ) from None
    except OSError as error:
        raise ConfigError(
            f"cannot read a seed file ({error.strerror})", where=str(path), remedy="let the generator read it"
        ) from None
