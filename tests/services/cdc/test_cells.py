"""Where images and values lie is found by native code and by Python alike, also where octets are no images at all."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from datafingerprint.errors import DecodeError
from datafingerprint.kernel.binlog import Binlog, binlog
from services.cdc.cells import cuts, image_starts
from services.cdc.log_types import Extent

EXTENTS = st.builds(Extent, st.integers(0, 20), st.just(0)) | st.builds(Extent, st.just(0), st.integers(1, 4))


@st.composite
def images(draw: st.DrawFn) -> tuple[tuple[Extent, ...], bytes]:
    """A layout, and images of it."""
    layout = tuple(draw(st.lists(EXTENTS, min_size=1, max_size=20)))
    octets = b""
    for _ in range(draw(st.integers(0, 6))):
        nulls = draw(st.integers(0, (1 << len(layout)) - 1))
        octets += nulls.to_bytes((len(layout) + 7) // 8, "little")
        for index, one in enumerate(layout):
            if not nulls >> index & 1:
                value = draw(st.binary(min_size=one.width, max_size=one.width if not one.prefix else 40))
                octets += len(value).to_bytes(one.prefix, "little") + value if one.prefix else value
    return layout, octets


@given(st.integers(5, 255), st.binary(max_size=60))
def test_lengths_of_more_octets_than_any_type_has_are_refused(prefix: int, octets: bytes) -> None:
    """What would be read of them does not fit an integer."""
    native = binlog()
    assert native is not None
    expected = "row images do not end where their event does"
    assert starts_of(octets, (Extent(4, 0), Extent(0, prefix)), native) == expected


def starts_of(octets: bytes, layout: tuple[Extent, ...], native: Binlog | None) -> list[int] | str:
    try:
        return image_starts(octets, layout, native).tolist()
    except DecodeError as error:
        return str(error)


@given(images())
@settings(max_examples=300, deadline=None)
def test_images_and_values_are_found_where_they_are_found_in_python(drawn: tuple[tuple[Extent, ...], bytes]) -> None:
    layout, octets = drawn
    native = binlog()
    assert native is not None
    starts = image_starts(octets, layout, None)
    assert starts_of(octets, layout, native) == starts.tolist()
    fast, slow = list(cuts(octets, starts, layout, native)), list(cuts(octets, starts, layout, None))
    assert len(fast) == len(slow) == len(layout)
    for one, other in zip(fast, slow, strict=True):
        assert (one.at.tolist(), one.size.tolist(), one.null.tolist()) == (
            other.at.tolist(),
            other.size.tolist(),
            other.null.tolist(),
        )
        assert one.octets.tobytes() == other.octets.tobytes()


@given(st.lists(EXTENTS, min_size=1, max_size=20), st.binary(max_size=120))
@settings(max_examples=500, deadline=None)
def test_octets_that_are_no_images_are_refused_alike(layout: list[Extent], octets: bytes) -> None:
    native = binlog()
    assert native is not None
    assert starts_of(octets, tuple(layout), native) == starts_of(octets, tuple(layout), None)
