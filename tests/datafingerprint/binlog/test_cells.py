"""Native code and Python find the same images and values, and reject the same data."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from datafingerprint.binlog.cells import row_starts, slice_columns
from datafingerprint.binlog.log_types import Extent
from datafingerprint.binlog.native import Binlog, native_binlog
from datafingerprint.errors import DecodeError

EXTENTS = st.builds(Extent, st.integers(0, 20), st.just(0)) | st.builds(Extent, st.just(0), st.integers(1, 4))


@st.composite
def images(draw: st.DrawFn) -> tuple[tuple[Extent, ...], bytes]:
    """A layout, and images of it."""
    layout = tuple(draw(st.lists(EXTENTS, min_size=1, max_size=20)))
    data = b""
    for _ in range(draw(st.integers(0, 6))):
        nulls = draw(st.integers(0, (1 << len(layout)) - 1))
        data += nulls.to_bytes((len(layout) + 7) // 8, "little")
        for index, extent in enumerate(layout):
            if not nulls >> index & 1:
                value = draw(st.binary(min_size=extent.width, max_size=extent.width if not extent.prefix else 40))
                data += len(value).to_bytes(extent.prefix, "little") + value if extent.prefix else value
    return layout, data


@given(st.integers(5, 255), st.binary(max_size=60))
def test_lengths_of_more_bytes_than_any_type_has_are_rejected(prefix: int, data: bytes) -> None:
    """The length would be too large for an integer."""
    native = native_binlog()
    assert native is not None
    expected = "row images do not end where their event does"
    assert starts_of(data, (Extent(4, 0), Extent(0, prefix)), native) == expected


def starts_of(data: bytes, layout: tuple[Extent, ...], native: Binlog | None) -> list[int] | str:
    try:
        return list(row_starts(data, layout, native).tolist())
    except DecodeError as error:
        return str(error)


@given(images())
@settings(max_examples=300, deadline=None)
def test_images_and_values_are_found_where_they_are_found_in_python(drawn: tuple[tuple[Extent, ...], bytes]) -> None:
    layout, data = drawn
    native = native_binlog()
    assert native is not None
    starts = row_starts(data, layout, None)
    assert starts_of(data, layout, native) == starts.tolist()
    fast, slow = list(slice_columns(data, starts, layout, native)), list(slice_columns(data, starts, layout, None))
    assert len(fast) == len(slow) == len(layout)
    for first, other in zip(fast, slow, strict=True):
        assert (first.at.tolist(), first.size.tolist(), first.null.tolist()) == (
            other.at.tolist(),
            other.size.tolist(),
            other.null.tolist(),
        )
        assert first.data.tobytes() == other.data.tobytes()


@given(st.lists(EXTENTS, min_size=1, max_size=20), st.binary(max_size=120))
@settings(max_examples=500, deadline=None)
def test_data_that_is_no_images_is_rejected_alike(layout: list[Extent], data: bytes) -> None:
    native = native_binlog()
    assert native is not None
    assert starts_of(data, tuple(layout), native) == starts_of(data, tuple(layout), None)
