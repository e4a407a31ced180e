"""A table that a crash left ahead of the last lake commit shows whether the broker lost its epoch."""

from __future__ import annotations

import pytest

from datafingerprint.epoch_chain import CHAIN_START
from datafingerprint.epochs import Epoch, SourcePosition
from datafingerprint.errors import WireError
from datafingerprint.ports.lake import Stamp
from datafingerprint.wire import encode_epoch
from services.lake_writer.chain import require_same_chain

AT = SourcePosition("0-1-1", "binlog", 1)


def epochs(moment: float) -> list[Epoch]:
    made: list[Epoch] = []
    for number in (1, 2, 3):
        previous = made[-1].digest if made else CHAIN_START
        made.append(encode_epoch(Epoch("s", number, AT, moment, previous=previous))[1])
    return made


def stamp(epoch: Epoch) -> Stamp:
    return Stamp(epoch.stream_id, epoch.number, AT, epoch.mark.digest)


def test_stamps_of_these_epochs_older_ones_and_ones_without_a_digest_are_accepted() -> None:
    read = epochs(1.0)
    old, plain = Stamp("s", 2, AT), stamp(epochs(2.0)[0])
    require_same_chain(read[1:], {"s.a": stamp(read[1]), "s.b": old, "s.c": None, "s.d": plain})


def test_a_stamp_of_an_epoch_that_the_topic_holds_in_another_form_is_refused() -> None:
    read, lost = epochs(1.0), epochs(2.0)
    with pytest.raises(WireError, match=r"epoch 2 of stream s was read, as the lake table s\.b shows"):
        require_same_chain(read, {"s.a": stamp(read[1]), "s.b": stamp(lost[1])})
