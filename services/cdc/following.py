"""What a dump's events complete, in their order: plain transactions together, all others one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from datafingerprint.events import Events
from services.cdc.binlog import parse_event
from services.cdc.plain import CommittedRun, Room
from services.cdc.transactions import Assembler, Committed


def following(
    events: Iterable[Events], assembler: Assembler, where: Callable[[], str], room: Callable[[], Room] | None
) -> Iterator[Committed | CommittedRun | None]:
    """Feeds events to the assembler; None for each that completes nothing.

    Args:
        events: As they come in.
        assembler: What puts them together.
        where: Behind which place they lie, for messages.
        room: How much may be taken together; None takes every transaction by itself.

    Raises:
        DecodeError: an event cannot be followed exactly.
    """
    for together in events:
        at = 0
        while at < len(together):
            run = assembler.run(together, at, room()) if room and assembler.is_between_transactions else None
            if run is not None:
                at += run.events
                yield run
            else:
                yield assembler.feed(parse_event(together[at], where()))
                at += 1
