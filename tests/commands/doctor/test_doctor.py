"""How far the lake writer is behind follows from the control topics alone."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from commands.doctor.__main__ import _behind, main
from datafingerprint.adapters.kafka.checkup import Stream
from datafingerprint.epochs import Epoch, SourcePosition
from datafingerprint.wire import LakeCommit

AT = SourcePosition("0-1-1", "binlog.000001", 4)


def commit(epoch: int, committed_at: float) -> LakeCommit:
    return LakeCommit("stream", epoch, AT, committed_at, 2 * epoch, {}, committed_at)


@pytest.mark.parametrize(
    ("stream", "behind"),
    [
        (Stream(), None),
        (Stream(Epoch("stream", 9, AT, 90.0)), 10.0),
        (Stream(Epoch("stream", 9, AT, 90.0), commit(9, 90.0)), 0.0),
        (Stream(Epoch("stream", 9, AT, 90.0), commit(4, 40.0)), 60.0),
    ],
)
def test_what_the_lake_writer_reads_next_is_younger_than_what_it_has(stream: Stream, behind: float | None) -> None:
    assert _behind(stream, 100.0) == behind


def test_settings_that_cannot_be_read_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFP_SOURCE_HOTS", "x")
    refused = CliRunner().invoke(main, [])
    assert refused.exit_code == 2
    assert "did you mean DFP_SOURCE_HOST?" in refused.output
