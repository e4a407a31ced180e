"""What makes following pause: requests, another choice of tables, and tables that are due."""

from __future__ import annotations

from datafingerprint.binlog.transactions import Assembler
from datafingerprint.ports.source import TableFilters
from datafingerprint.ports.stream import Requests
from datafingerprint.resync import PendingRequest
from datafingerprint.table_filter import TableFilter
from services.cdc.captured_tables import recheck_unsupported
from services.cdc.context import CaptureContext
from services.cdc.stream import Stream


class Interruptions:
    """Polls what operators request and what the source needs.

    Args:
        context: The run's parts.
        requests: Requests of operators.
        table_filters: Choices of tables that operators make while capture runs. None if they cannot.
    """

    def __init__(self, context: CaptureContext, requests: Requests, table_filters: TableFilters | None) -> None:
        self._context = context
        self._requests = requests
        self._table_filters = table_filters
        self._next_check_at = 0.0

    def poll(self, stream: Stream, assembler: Assembler, now: float) -> tuple[list[PendingRequest], bool]:
        """Looks for work that interrupts following.

        Returns:
            The pending requests, and whether following has to pause.
        """
        requests = self._requests.waiting(stream.next_request)
        if stream.aside and now >= self._next_check_at:
            self._next_check_at = now + self._context.settings.retry_s
            recheck_unsupported(self._context.source, stream, now, self._context.log)
            assembler.forget_followed()
        stream.needs_survey |= any(aside.is_due(now) for aside in stream.aside.values())
        return requests, bool(requests) or stream.needs_survey or self.table_filter() is not None

    def table_filter(self) -> TableFilter | None:
        """Another choice of tables that operators have made, if any."""
        return None if self._table_filters is None else self._table_filters.waiting()
