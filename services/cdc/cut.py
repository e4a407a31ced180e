"""What capture does where a crash of the source cut its log off, in the middle of a transaction or of an event.

MySQL cuts such a file back to its last whole transaction when it starts again. MariaDB leaves it as it is: a dump sends
the beginning of the transaction, and goes on with the next file, or ends with an error when an event is not whole.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import structlog

from datafingerprint.errors import CutShortError, SourceError
from datafingerprint.remedies import READ_ALL_AGAIN
from services.cdc.epoch_builder import EpochBuilder
from services.cdc.transactions import Assembler


@contextlib.contextmanager
def kept_at_a_cut(assembler: Assembler, builder: EpochBuilder, close: Callable[[], object]) -> Iterator[None]:
    """Closes the open epoch where a log breaks off: from its end on the server goes on with the next file.

    Raises:
        SourceError: no transaction was read on this connection, so that the next one would not get any further.
    """
    begin = assembler.position.gtid
    try:
        yield
    except CutShortError as error:
        if assembler.position.gtid == begin:
            raise SourceError(error.what, where=error.where, remedy=READ_ALL_AGAIN) from error
        if not builder.is_empty:
            close()
        raise


def left_out(log: structlog.stdlib.BoundLogger) -> Callable[[str], None]:
    """Tells operators of a transaction that is not whole; the source has rolled it back."""

    def tell(gtid: str) -> None:
        log.warning("a transaction that the source crashed in was left out", gtid=gtid)

    return tell
