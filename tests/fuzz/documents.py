"""JSON documents as MySQL's own expressions: whatever a document can hold there, its SQL values among them."""

from __future__ import annotations

from hypothesis import strategies as st

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_AWKWARD = st.sampled_from(
    ["", '"', "\\", "/", "\u2028", "\x7f", "\x00", "é", "日本🏈", "".join(map(chr, range(32))), "x" * 200]
)
_KEYS = st.text(st.sampled_from('ab"\\é🏈 \n'), max_size=4) | _TEXTS
_INTEGERS = st.integers(-(2**63), 2**64 - 1) | st.sampled_from(
    [sign * 2**bits + near for bits in (15, 16, 31, 32, 63) for near in (-1, 0) for sign in (1, -1)] + [0, -1]
)
_DOUBLES = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
    [-0.0, 1e14, 1e15, 1e16, 123456789012345.6, 1234567890123456.8, 1e-14, 1e-15, 1.5e-15, 1e-16, 1e20, 1e-7, 5e-324]
)


def text(value: str) -> str:
    """A text as an expression, whatever the session's mode."""
    return f"_utf8mb4 x'{value.encode().hex()}'"


def _double(value: float) -> str:
    shown = repr(value)
    return shown if "e" in shown else f"{shown}e0"


@st.composite
def _decimal(draw: st.DrawFn) -> str:
    precision = draw(st.integers(1, 65))
    scale = draw(st.integers(0, min(30, precision)))
    unscaled = draw(st.integers(-(10**precision) + 1, 10**precision - 1))
    digits = str(abs(unscaled)).rjust(scale + 1, "0")
    whole = f"{digits[: len(digits) - scale]}.{digits[len(digits) - scale :]}"
    return f"CAST('{'-' * (unscaled < 0)}{whole}' AS DECIMAL({precision},{scale}))"


def _clock(us: int) -> str:
    seconds, rest = divmod(abs(us), 1_000_000)
    sign = "-" if us < 0 else ""
    return f"CAST('{sign}{seconds // 3600}:{seconds // 60 % 60}:{seconds % 60}.{rest:06}' AS TIME(6))"


_BINARIES = [bytes(range(size)) for size in (56, 57, 58, 114, 115, 256)]
"""In base 64, lines of 76 characters end within these."""

_MOST_US = 838 * 3600 * 1_000_000
_SCALARS = st.one_of(
    st.sampled_from(["NULL", "TRUE", "FALSE"]),
    (_TEXTS | _AWKWARD).map(text),
    _INTEGERS.map(str),
    _DOUBLES.map(_double),
    _decimal(),
    st.dates().map(lambda day: f"CAST('{day}' AS DATE)"),
    st.datetimes().map(lambda moment: f"CAST('{moment}' AS DATETIME(6))"),
    st.sampled_from(["CAST('0000-00-00' AS DATE)", "CAST('2031-04-00' AS DATETIME)", "YEAR('2031-01-01')"]),
    st.integers(-_MOST_US, _MOST_US).map(_clock),
    (st.binary(max_size=9) | st.sampled_from(_BINARIES)).map(lambda octets: f"x'{octets.hex()}'"),
)
_MEMBERS = 4


def _array(items: list[str]) -> str:
    return f"JSON_ARRAY({', '.join(items)})"


def _object(members: list[tuple[str, str]]) -> str:
    return f"JSON_OBJECT({', '.join(f'{text(key)}, {item}' for key, item in members)})"


DOCUMENTS: st.SearchStrategy[str] = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=_MEMBERS).map(_array)
        | st.lists(st.tuples(_KEYS, inner), max_size=_MEMBERS).map(_object)
    ),
    max_leaves=12,
).map(lambda item: f"JSON_EXTRACT(JSON_ARRAY({item}), '$[0]')")
"""Expressions of type JSON."""

LARGE: st.SearchStrategy[str] = st.tuples(DOCUMENTS, _INTEGERS, st.booleans()).map(
    # More than 64 KiB: the outer container's numbers have four octets, those of the inner ones two or four.
    lambda drawn: (
        _array([drawn[0], str(drawn[1]), "REPEAT('x', 65536)", drawn[0]])
        if drawn[2]
        else _object([("a", drawn[0]), ("long", "REPEAT('é', 40000)"), ("n", str(drawn[1])), ("zz", drawn[0])])
    )
)
"""The same in the form of documents over 64 KiB."""
