"""Numbers do not show that a broker has lost epochs; the digests of their records do."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafingerprint.epoch_chain import CHAIN_START, EpochMark, record_digest
from datafingerprint.epochs import Epoch, SourcePosition, require_successor
from datafingerprint.errors import WireError
from datafingerprint.wire import decode_epoch, decode_record, encode_epoch, encode_record

LOST = "the broker has lost an acknowledged epoch: epoch {} of stream s was read"


def published(moments: list[float], begin: list[Epoch] | None = None) -> list[Epoch]:
    """A chain of epochs as their reader decodes them."""
    chain = list(begin or [])
    for moment in moments:
        previous = chain[-1].digest if chain else CHAIN_START
        epoch = Epoch("s", len(chain) + 1, SourcePosition("", "", 0), moment, previous=previous)
        chain.append(decode_epoch(encode_epoch(epoch)[0], "here"))
    return chain


@given(st.lists(st.floats(0, 9), min_size=1, max_size=9))
def test_a_chain_is_read_from_any_of_its_epochs(moments: list[float]) -> None:
    chain = published(moments)
    for before, after in zip([None, *chain], chain, strict=False):
        require_successor(before, after)
        require_successor(None if before is None else before.mark, after)


@given(st.lists(st.integers(0, 3), min_size=2, max_size=6), st.data())
def test_an_epoch_after_lost_ones_is_refused_though_its_number_is_right(
    moments: list[int], data: st.DataObject
) -> None:
    chain = published([float(moment) for moment in moments])
    kept = data.draw(st.integers(0, len(chain) - 1))
    replaced = published([float(moment) + 0.5 for moment in moments[kept:]], chain[:kept])
    for lost in range(kept, len(chain) - 1):
        with pytest.raises(WireError, match=LOST.format(lost + 1)):
            require_successor(chain[lost].mark, replaced[lost + 1])


def test_the_publisher_and_the_reader_know_the_same_digest_whatever_fields_a_later_version_adds() -> None:
    epoch = Epoch("s", 1, SourcePosition("", "", 0), 1.0, previous=CHAIN_START)
    payload, made = encode_epoch(epoch)
    assert decode_epoch(payload, "here").mark == made.mark == EpochMark("s", 1, record_digest(payload))
    later = encode_record({**decode_record(payload, "here"), "later": 1})
    assert decode_epoch(later, "here") == made
    assert decode_epoch(later, "here").digest == record_digest(later) != made.digest


def test_records_without_the_field_are_accepted_up_to_the_first_that_has_it() -> None:
    old = [decode_epoch(encode_epoch(Epoch("s", n, SourcePosition("", "", 0), 1.0))[0], "here") for n in (1, 2)]
    assert old[0].mark == EpochMark("s", 1)
    require_successor(old[0].mark, old[1])
    (*_, chained) = published([1.0], old)
    require_successor(old[1].mark, chained)
    with pytest.raises(WireError, match=LOST.format(3)):
        require_successor(chained.mark, replace(old[1], number=4))


def test_an_epoch_without_the_field_has_the_record_of_an_older_version() -> None:
    epoch = Epoch("s", 1, SourcePosition("", "", 0), 1.0)
    assert "previous" not in epoch.to_json()
    assert "digest" not in replace(epoch, previous=CHAIN_START, digest="ff").to_json()
