"""The study's plan, its going on where it was stopped, and what its table says; the models themselves are elsewhere."""

from functools import partial
from pathlib import Path

import pytest
import study
import study_table
from study import Cell
from study_cells import Study
from study_table import BITS, CLASSIFICATION, SIMILARITY, Row

from models.comparison import Estimate


def row(kind: str, gain: float, *, before: float = 0.5, width: float = 0.01) -> Row:
    difference = Estimate(gain, gain - width, gain + width)
    after = Estimate(before + gain, before + gain - width, before + gain + width)
    return Row(kind, "x", "both", Estimate(before, before - width, before + width), after, difference, ())


@pytest.mark.parametrize("scale", study.SCALES.values(), ids=study.SCALES)
def test_every_cell_comes_after_what_it_needs(scale: study.Scale) -> None:
    done: set[str] = set()
    for cell in study.plan(scale):
        assert cell.name not in done
        assert done.issuperset(cell.needs)
        done.add(cell.name)
    foundations, seeds = len(scale.foundations), len(scale.seeds)
    # Before and after, each: bits, similarity, three sites with all annotations and with a few.
    assert sum(name.endswith(("-bits", "-similarity", "-all", "-few")) for name in done) == foundations * seeds * 2 * 8


def told(study_: Study, *, name: str, broken: bool = False) -> dict[str, object]:
    if broken and not (study_.out / "mended").exists():
        raise RuntimeError(f"{name} is broken")
    with (study_.out / "log").open("a") as log:
        log.write(f"{name}\n")
    return {"of": name}


def test_a_stopped_study_goes_on_with_what_is_not_done(tmp_path: Path) -> None:
    (tmp_path / "cells").mkdir()
    asked = Study(study.SCALES["quick"], tmp_path, tmp_path, None)
    planned = [
        Cell("first", (), partial(told, name="first")),
        Cell("second", ("first",), partial(told, name="second", broken=True)),
        Cell("third", ("second",), partial(told, name="third")),
    ]
    with pytest.raises(RuntimeError, match="second is broken"):
        study.carry_out(planned, asked, 1)
    assert (tmp_path / "log").read_text().split() == ["first"]
    assert not (tmp_path / "cells" / "second.json").exists()
    (tmp_path / "mended").touch()
    study.carry_out(planned, asked, 1)
    assert (tmp_path / "log").read_text().split() == ["first", "second", "third"]


def test_cells_of_another_scale_are_refused(tmp_path: Path) -> None:
    study.agree(tmp_path / "scale.json", study.SCALES["quick"])
    study.agree(tmp_path / "scale.json", study.SCALES["quick"])
    with pytest.raises(SystemExit, match="another scale"):
        study.agree(tmp_path / "scale.json", study.SCALES["small"])


def test_the_verdict_on_what_the_paper_saw() -> None:
    said = "\n".join(study_table.verdict([row(CLASSIFICATION, 0.1), row(SIMILARITY, -0.1)]))
    assert said.count("pattern (better) appears") == 1
    assert said.count("pattern (worse) appears") == 1


def test_a_pattern_that_half_of_the_comparisons_show_is_one_in_part() -> None:
    assert study_table.seen(12, 11, of=30) == "appears only in part"
    assert study_table.seen(16, 3, of=30) == "appears"
    assert study_table.seen(3, 3, of=6) == "does NOT appear"


@pytest.mark.parametrize(("classification", "similarity"), [(-0.1, 0.1), (0.0, 0.0)])
def test_the_verdict_on_the_contrary_and_on_nothing(classification: float, similarity: float) -> None:
    said = "\n".join(study_table.verdict([row(CLASSIFICATION, classification), row(SIMILARITY, similarity)]))
    assert said.count("does NOT appear") == 2


def test_a_foundation_without_a_head_has_no_bits() -> None:
    one = row(BITS, -0.3, before=float("nan"))._replace(after=Estimate(2.0, 2.0, 2.0))
    assert study_table.cell_text(one) == "no head → 2.000"


def test_a_picture_of_every_kind(tmp_path: Path) -> None:
    rows = [
        row(CLASSIFICATION, 0.1)._replace(what="real → real, all annotations"),
        row(CLASSIFICATION, 0.1)._replace(what="real → real, 100 annotations"),
        row(SIMILARITY, -0.1)._replace(what="Korean, zero-shot"),
        row(BITS, -0.3)._replace(what="Korean, general"),
    ]
    study_table.draw(rows, tmp_path / "study.png")
    study_table.write_csv(rows, tmp_path / "study.csv")
    assert (tmp_path / "study.png").stat().st_size > 10_000
    assert len((tmp_path / "study.csv").read_text().splitlines()) == 5
