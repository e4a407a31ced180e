"""The native reading of rows stays within its buffers, whatever a server sends."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

HARNESS = Path(__file__).with_name("hostile_rows.c")
FLAGS = ("-g", "-O1", "-std=gnu11", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def test_damaged_packets_are_read_within_their_bounds(tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("there is no compiler on this machine")
    program = tmp_path / "hostile"
    built = subprocess.run([compiler, *FLAGS, "-o", str(program), str(HARNESS)], capture_output=True, check=False)
    if built.returncode and b"san" in built.stderr:
        pytest.skip("the compiler has no sanitizers")
    assert not built.returncode, built.stderr.decode()
    ran = subprocess.run([str(program)], capture_output=True, check=False, env={"ASAN_OPTIONS": "detect_leaks=0"})
    assert not ran.returncode, ran.stderr.decode()[-3000:]
