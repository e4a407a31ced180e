"""The state of the system as plain HTML, for readers without JavaScript."""

from __future__ import annotations

from collections import Counter
from html import escape

from api.matrix import LETTERS, Matrix, MatrixAnswer, MatrixTable
from datafingerprint.errors import DataFingerprintError
from datafingerprint.verdict import Outcome

AGE_S_MAX = 30.0
"""Age of the summary in seconds. Most browsers never show it, so its reading must not hold up the page."""

NAMED_MAX = 50
"""Most tables that the summary names."""


def summary_html(matrix: Matrix, *, is_allowed: bool) -> str:
    """The summary. Without permission it says only where the state can be read."""
    if not is_allowed:
        return "<p>The state needs the token: <code>datafingerprint status</code> shows it, and REST at /v1/status.</p>"
    try:
        return _summary(matrix.answer(AGE_S_MAX))
    except DataFingerprintError as error:
        return f"<p>The state cannot be read: {escape(str(error))}</p>"


def _summary(answer: MatrixAnswer) -> str:
    letters = Counter("".join(table.verdicts for table in answer.items))
    match, mismatch, inconclusive = (
        letters[LETTERS[outcome]] for outcome in (Outcome.MATCH, Outcome.MISMATCH, Outcome.INCONCLUSIVE)
    )
    sentence = (
        f"{match} of {letters.total()} partitions in {len(answer.items)} tables equal the source, "
        f"{mismatch} differ, {inconclusive} cannot be decided yet (at most {AGE_S_MAX:.0f} s old)."
    )
    troubled = [table for table in answer.items if table.verdict != Outcome.MATCH.value]
    lines = "".join(_line(table) for table in troubled[:NAMED_MAX])
    more = f"<p>and {len(troubled) - NAMED_MAX} more tables</p>" if len(troubled) > NAMED_MAX else ""
    return f"<p><strong>{answer.verdict}</strong>: {sentence}</p>" + (f"<ul>{lines}</ul>" if lines else "") + more


def _line(table: MatrixTable) -> str:
    return f"<li>{escape(table.table)}: {table.verdict}. {escape(table.reason or '')}</li>"
