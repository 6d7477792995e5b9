"""Progress without a terminal: lines on stderr, and nothing on stdout."""

import pytest

from nightread import console
from nightread.console import tracked


def test_without_a_terminal_there_is_a_line_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with tracked("labelling reports", total=3) as shown:
        shown.update(2)
        shown.update(3, note="done")
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "labelling reports: 3 of 3 done\n"


def test_a_total_may_be_learnt_late(capsys: pytest.CaptureFixture[str]) -> None:
    with tracked("training") as shown:
        shown.update(5)
        shown.update(6, total=60)
        shown.update(7)
    assert capsys.readouterr().err == "training: 7 of 60\n"


def test_something_long_shows_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "SECONDS_BETWEEN_LINES", 0.0)
    with tracked("training", total=2) as shown:
        shown.update(1)
        assert capsys.readouterr().err == "training: 1 of 2\n"
