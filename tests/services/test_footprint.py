"""A service loads, and holds on to, no more than it needs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SERVICES = ("cdc", "lake_writer", "fingerprinter")
MIB = 1 << 20


def said_by(program: str, **variables: str) -> str:
    """What a Python of its own prints."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ARROW_", "MALLOC_"))}
    result = subprocess.run(
        [sys.executable, "-c", program], env={**inherited, **variables}, capture_output=True, text=True, check=True
    )
    return result.stdout.strip()


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_does_not_load_duckdb_before_it_needs_it(service: str) -> None:
    assert said_by(f"import sys, services.{service}.__main__; print('duckdb' in sys.modules)") == "False"


@pytest.mark.parametrize("service", SERVICES)
def test_arrow_allocates_by_jemalloc_in_a_service_also_inside_its_own_libraries(service: str) -> None:
    # Compute kernels and Parquet use the pool that was chosen when Arrow was loaded, whatever Python names later.
    program = f"import services.{service}.__main__, pyarrow; print(pyarrow.default_memory_pool().backend_name)"
    assert said_by(program) == "jemalloc"


def test_an_operator_may_choose_another_allocator() -> None:
    program = "import services.cdc.__main__, pyarrow; print(pyarrow.default_memory_pool().backend_name)"
    assert said_by(program, ARROW_DEFAULT_MEMORY_POOL="system") == "system"


PINNED = """
import threading
from datafingerprint.adapters.runtime.process import _tune_malloc

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

_tune_malloc()
before = resident()
kept = []

def work():
    for _ in range(8):
        large = [bytearray(b"x") * (4 << 20) for _ in range(4)]
        kept.append(bytearray(b"x") * 100_000)
        del large

for _ in range(4):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
print(resident() - before)
"""
"""Threads take large pieces and then a small one, which is kept, so that the C library cannot shrink what they took."""


def test_large_pieces_of_memory_go_back_to_the_system_as_soon_as_they_are_free() -> None:
    assert int(said_by(PINNED)) < 8 * MIB


def test_the_command_capture_loads_no_other_service() -> None:
    program = """
import sys
from click.testing import CliRunner
from commands.__main__ import main
assert CliRunner().invoke(main, ["capture", "--help"]).exit_code == 0
print(sorted(name for name in sys.modules if name.startswith("services.") and name.count(".") == 1))
"""
    assert said_by(program) == "['services.cdc']"


def test_all_commands_are_told_of_and_the_status_is_asked_for_without_loading_any_service() -> None:
    program = """
import sys
from click.testing import CliRunner
from commands.__main__ import COMMANDS, SUMMARIES, main
told = CliRunner().invoke(main, ["--help"])
assert told.exit_code == 0, told.output
assert set(COMMANDS) == set(SUMMARIES)
print([name for name in [*COMMANDS, "status"] if f"  {name} " not in told.output])
status = CliRunner().invoke(main, ["status", "--json"], env={"DFP_API_PORT": "1"})
assert status.exit_code == 2, status.output
heavy = ("pyarrow", "numpy", "duckdb", "pyiceberg", "sqlalchemy", "kafka", "fastapi")
print([name for name in heavy if name in sys.modules])
"""
    assert said_by(program) == "[]\n[]"
