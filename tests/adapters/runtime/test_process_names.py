"""A process counts as ended only where that can be known."""

from __future__ import annotations

import os

import pytest

from datafingerprint.adapters.runtime.process_names import has_ended, process_name

PID_NEVER_GIVEN = 2**22 + 1
"""Above the largest process id of Linux."""


def renamed(position: int, value: str) -> str:
    parts = process_name().split(":")
    parts[position] = value
    return ":".join(parts)


def test_no_two_names_are_the_same() -> None:
    assert process_name() != process_name()


def test_a_missing_process_of_this_machine_has_ended() -> None:
    assert has_ended(renamed(1, str(PID_NEVER_GIVEN)))


@pytest.mark.parametrize(
    "name",
    [
        process_name(),
        renamed(1, str(os.getppid())),
        renamed(1, "1"),
        "a-command",
        "somebody:7:abcdef01",
        renamed(1, "x"),
        renamed(1, "9" * 30),
    ],
    # A name has this process's number in it, and test ids must be the same in every worker.
    ids=["itself", "parent", "init", "no name", "not ours", "no number", "no process"],
)
def test_a_running_process_or_an_incomplete_name_has_not_ended(name: str) -> None:
    assert not has_ended(name)


@pytest.mark.parametrize("position", [0, 2])
def test_a_process_of_another_machine_never_counts_as_ended(position: int) -> None:
    parts = renamed(1, str(PID_NEVER_GIVEN)).split(":")
    parts[position] = "elsewhere"
    assert not has_ended(":".join(parts))
