"""The common part of all Java programs: the jars, and the command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from deploy.embedded.part import PartError, find_program

JARS = Path(__file__).resolve().parents[2] / ".local" / "jars"

# Warnings and errors only: the logs are read by people who look for a reason.
QUIET_SLF4J = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
)


def java_command(jars: Path, main_class: str, *, heap: str, options: tuple[str, ...] = ()) -> list[str]:
    """The command that runs a class of a folder of jars with a limited heap.

    Raises:
        PartError: the jars are missing.
    """
    if not any(jars.glob("*.jar")):
        raise PartError(f"no jars in {jars}: `./run up` fetches them")
    machine = [find_program("java"), f"-Xmx{heap}", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError"]
    return [*machine, *options, "-cp", f"{jars}/*", main_class]


def render_properties(properties: Mapping[str, str]) -> str:
    """A Java properties file; a backslash would begin an escape."""
    return "".join(f"{key}={value}\n".replace("\\", "\\\\") for key, value in properties.items())
