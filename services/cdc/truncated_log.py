"""Handles a binlog that a crash of the source truncated in a transaction or an event.

MySQL truncates such a file to its last whole transaction when it starts again. MariaDB leaves it as it is: a dump
sends the start of the transaction and continues with the next file, or ends with an error if an event is not whole.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import structlog

from datafingerprint.binlog.transactions import Assembler
from datafingerprint.errors import CutShortError, SourceError
from datafingerprint.recovery import RESNAPSHOT_ALL
from services.cdc.epoch_builder import EpochBuilder


@contextlib.contextmanager
def flush_on_truncated_log(assembler: Assembler, builder: EpochBuilder, close: Callable[[], object]) -> Iterator[None]:
    """Closes the open epoch where a binlog file is truncated.

    From its end the server continues with the next file.

    Raises:
        SourceError: this connection has read no transaction, so the next one would get no further.
    """
    start = assembler.position.gtid
    try:
        yield
    except CutShortError as error:
        if assembler.position.gtid == start:
            raise SourceError(error.what, where=error.where, remedy=RESNAPSHOT_ALL) from error
        if not builder.is_empty:
            close()
        raise


def log_rolled_back(log: structlog.stdlib.BoundLogger) -> Callable[[str], None]:
    """Returns a callback that logs an incomplete transaction, which the source has rolled back."""

    def log_transaction(gtid: str) -> None:
        log.warning("skipped a transaction that the source crashed in and rolled back", gtid=gtid)

    return log_transaction
