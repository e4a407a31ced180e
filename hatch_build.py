"""Builds the native library into the wheel, or beside its sources for an editable installation; adds the seed.

Without a C compiler the project is installed all the same, as a wheel for every machine; it digests by DuckDB then,
and reads binlogs in Python and numpy.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

KERNEL = Path("datafingerprint/native")
SOURCES = tuple(KERNEL / name for name in ("digest.c", "binlog.c", "sketch.c", "rows.c"))
LIBRARY = KERNEL / "_native.so"
SEED, SEED_IN_WHEEL = "sql/mysql/seed", "services/generator/seed"
"""The league that `datafingerprint generate` loads; a checkout reads it where it lies."""

FLAGS = ("-O3", "-std=gnu11", "-shared", "-fPIC", "-fvisibility=default")


class NativeKernel(BuildHookInterface):  # type: ignore[type-arg]
    """Runs `$CC`, or the first of `cc`, `gcc` and `clang` that is there."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compiles before files are gathered; `version` says whether the installation is editable."""
        root = Path(self.root)
        if version != "editable":
            build_data["force_include"][str(root / SEED)] = SEED_IN_WHEEL
        compiler = _compiler()
        # One from an earlier version would be refused at load, but none must get into a wheel.
        (root / LIBRARY).unlink(missing_ok=True)
        if not compiler or not _compiled(compiler, root):
            return
        build_data["artifacts"].append(f"/{LIBRARY}")
        build_data["pure_python"] = False
        # It is reached by ctypes: any Python will do, but not any machine.
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"


def _compiler() -> list[str]:
    asked = os.environ.get("CC")
    if asked is not None:
        return shlex.split(asked)
    result = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    return [result] if result else []


def _compiled(compiler: list[str], root: Path) -> bool:
    made = root / LIBRARY.with_suffix(".partial")
    ran = subprocess.run(  # noqa: S603 - the compiler of the machine, with the project's own source
        [*compiler, *FLAGS, "-o", str(made), *(str(root / source) for source in SOURCES)],
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        made.unlink(missing_ok=True)
        sys.stderr.write(f"the native library is left out: {compiler[0]} failed\n{ran.stderr}\n")
        return False
    made.replace(root / LIBRARY)
    return True
