"""The picture of forgetting is drawn for whatever there is: one row, gaps, Korean names, many refreshes."""

import warnings
from pathlib import Path

import pytest
from matplotlib import font_manager
from matplotlib.image import imread

from nightread import forgetting_chart
from nightread.forgetting_chart import draw
from pipeline.model_forgetting import After, Matrix, Score
from pipeline.names import Metric


def matrix(metric: Metric, scores: list[list[float | None]], suites: tuple[str, ...]) -> Matrix:
    """Suite j is learnt at j; summaries are there from the second row on."""
    rows = tuple(
        After(
            refresh_number=i,
            refresh=i + 1,
            model_version=i + 2,
            scores={
                suite: Score(score, None, None, 50, learnt=i >= j)
                for j, (suite, score) in enumerate(zip(suites, row, strict=True))
                if score is not None
            },
            average=0.5,
            backward_transfer=-0.01 if i else None,
            forgetting=0.01 if i else None,
        )
        for i, row in enumerate(scores)
    )
    return Matrix(metric, suites, rows)


KOREAN = matrix(Metric.MACRO_F1, [[0.8, 0.7], [0.81, 0.75]], ("서울 병원", "made-up-hospital-east"))


@pytest.mark.parametrize(
    "matrices",
    [
        [matrix(Metric.PEARSON, [[0.7]], ("ko",))],
        [matrix(Metric.BITS_PER_BYTE, [[0.6, None], [0.61, 1.4], [None, 1.2]], ("general, en", "east, ko, 2026-Q4"))],
        [matrix(Metric.BITS_PER_BYTE, [[0.6] * 30] * 40, tuple(f"suite {j}" for j in range(30)))],
        [matrix(Metric.MACRO_F1, [[0.8], [0.8]], ("east",)), matrix(Metric.PEARSON, [[0.7], [0.72]], ("ko",))],
    ],
    ids=["one score", "gaps", "a year of weeks", "several metrics"],
)
def test_it_is_drawn_and_takes_the_place_of_the_one_before(matrices: list[Matrix], tmp_path: Path) -> None:
    out = tmp_path / "forgetting.png"
    out.write_bytes(b"an old one")
    draw(matrices, out)
    height, width, _ = imread(out).shape
    assert height > 300
    assert width > 600
    assert list(tmp_path.iterdir()) == [out], "nothing half-written is left"


def test_names_are_korean_where_a_font_has_hangul(tmp_path: Path) -> None:
    if not forgetting_chart._hangul():
        pytest.skip("this machine has no font with Hangul")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of a letter that no font has
        draw([KOREAN], tmp_path / "forgetting.png")


def test_a_machine_without_such_a_font_gets_its_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(font_manager, "findSystemFonts", list)
    with pytest.warns(UserWarning, match="HANGUL"):
        draw([KOREAN], tmp_path / "forgetting.png")
    assert (tmp_path / "forgetting.png").exists()
