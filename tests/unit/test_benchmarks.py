"""The form of every benchmark: how it is called, its table, its last line. `make bench-quick` runs them."""

import argparse
import ast
import json
import re
import runpy
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import benchmark_form
import intake
import made_up
import numpy as np
import pretraining
import pytest
import relabelling
import sql
import startup
import training_mix
import transplant
import vocabularies
import worth_labelling
from benchmark_form import Data, last_line, markdown, results_folder
from sql_questions import PAGE
from sql_questions import read as read_questions

from models.comparison import Estimate
from models.metrics import Evaluation
from nightread.made_up import FINDINGS

NOWHERE = Path("no-real-data-here")
PROGRAMS = {
    path.stem: path
    for path in sorted(Path(benchmark_form.__file__).parent.glob("*.py"))
    if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
}


def test_there_are_programs() -> None:
    assert {"forgetting", "guard", "study"} <= set(PROGRAMS)
    assert "study_cells" not in PROGRAMS


# --- how a program is called


@pytest.mark.parametrize("path", PROGRAMS.values(), ids=PROGRAMS)
def test_help_shows_quick_and_no_argument_that_is_required(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "parse_args()" in path.read_text(encoding="utf-8")  # or else --help would run it
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(path), run_name="__main__")
    assert ended.value.code in {0, None}
    usage, _, rest = capsys.readouterr().out.partition("\n\n")
    assert "[--quick]" in usage
    assert required(usage) == ""
    assert "--quick" in rest


def required(usage: str) -> str:
    """What stands in no brackets, which may hold others."""
    _, _, arguments = usage.partition(".py")
    while (inner := re.sub(r"\[[^\[\]]*\]", "", arguments)) != arguments:
        arguments = inner
    return arguments.strip()


def test_a_required_argument_is_found() -> None:
    assert required("usage: a.py [-h] [--steps N [N ...]]\n  [--quick] SOURCE") == "SOURCE"
    assert required("usage: a.py [-h] --out OUT [--quick]") == "--out OUT"
    assert required("usage: a.py [-h] [--steps N [N ...]]") == ""


@pytest.mark.parametrize("path", PROGRAMS.values(), ids=PROGRAMS)
def test_a_docstring_names_the_command_and_a_last_line_is_written(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert f".venv/bin/python benchmarks/{path.name}" in (ast.get_docstring(tree) or "")
    assert any(isinstance(node, ast.Call) and ast.unparse(node.func) == "last_line" for node in ast.walk(tree))


# --- what a program prints


def nights() -> None:
    found = {
        relabelling.WITHOUT: [relabelling.Night(2.0, 600), relabelling.Night(2.2, 600)],
        relabelling.WITH: [relabelling.Night(2.2, 600), relabelling.Night(2.3, 600)],
    }
    given = argparse.Namespace(fresh=600, backlog=2_000, foundation=None, threads=1, quick=True)
    relabelling.show(found, given)


def mixes() -> None:
    names = ("reports", "buffer", "texts", "tokens")
    few = dict.fromkeys(names, 10) | dict.fromkeys(("disk_mb", "refill", "mix", "tokenise", "before_mb", "peak_mb"), 1)
    training_mix.show([few, few], quick=True)


def turns() -> None:
    one = {"tokens_per_second": 900.0, "peak_bytes": 2.0**30, "padding_share": 0.1}
    pretraining.show({"ours": [one], "trainer": [one]}, {"used": 0.4}, data=Data.MADE_UP, quick=True)


def transplanted() -> None:
    found = [transplant.Judged(transplant.OWN, (), 0, [3.0, float("nan")], 0.0)]
    found += [transplant.Judged("transplanted", (1, 2, 3), steps, [3.0, 4.0], 1.0) for steps in (0, 5)]
    transplant.show(found, data=Data.REAL, quick=True)


def cut() -> None:
    vocabularies.show([("ours", 8_000, text, 10, 1.5, 0.01, 3.0) for text in ("Korean", "English")], quick=True)


def chosen() -> None:
    judged = [
        worth_labelling.Judged(seed, name, 20, 40, 0.5, (0.4, 0.6), 0.7)
        for seed in (0, 1)
        for name in ("start", "chosen", "random")
    ]
    one = Estimate(0.02, -0.1, 0.1)
    worth_labelling.show(judged, [one, one], one, data=Data.REAL, quick=True)


def read() -> None:
    score = Evaluation(reports=100, macro_f1=0.6, macro_f1_interval=(0.5, 0.7), labels=())
    found = {"east, earlier": {"TF-IDF": score, "classifier": score}}
    made_up.show(found, argparse.Namespace(train=400, test=100, quick=True))


def pulled() -> None:
    peak = {"before_mb": 80.0, "peak_mb": 90.0, "seconds": 1.0}
    intake.show([intake.Round(2.0, 0.5, 1.0)], Counter({"COPY": 0.5}), [peak, peak], 2_000, Data.REAL, quick=True)


def started() -> None:
    commands, apart = {"help_ms": 300.0, "status_ms": 500.0}, {"loading the model": 0.1}
    startup.show(commands, [{"the pull": 0.2, "labels": 3.0}], apart, argparse.Namespace(runs=5, quick=True))


def asked() -> None:
    questions = read_questions(PAGE.read_text(encoding="utf-8"))
    found = {one.number: sql.Measured([1.0, 2.0], rows=3, scans={"report"}) for one in questions}
    sql.show(questions, found, found, 54, argparse.Namespace(reports=20_000, fewer=2_000, runs=2, quick=True))


@pytest.mark.parametrize(
    ("show", "data", "named"),
    [
        (nights, "made up", "fresh_slowdown"),
        (mixes, "made up", "peak_mb_tenfold"),
        (turns, "made up", "speedup_vs_trainer"),
        (transplanted, "real", "bits_per_byte"),
        (cut, "real and made up", "vocabularies"),
        (chosen, "real", "chosen_less_random"),
        (read, "made up", "macro_f1"),
        (pulled, "real", "times_bare_copy"),
        (started, "made up", "first_label_s"),
        (asked, "made up", "p95_worst_ms"),
    ],
)
def test_a_markdown_table_then_one_line_of_json(
    show: Callable[[], None], data: str, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show()
    *lines, last = capsys.readouterr().out.splitlines()
    figures = json.loads(last, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert (figures["data"], figures["quick"]) == (data, True)
    assert named in figures
    table = [line for line in lines if line.startswith("|")]
    assert re.fullmatch(r"\|( -+:? \|)+", table[1])
    assert len(table) > 2
    assert {line.count("|") for line in table[:3]} == {table[0].count("|")}


def test_a_table_is_aligned() -> None:
    assert markdown(("what", "s"), [("a long name", 1), ("b", 12.5)]).splitlines() == [
        "| what        |    s |",
        "| ----------- | ---: |",
        "| a long name |    1 |",
        "| b           | 12.5 |",
    ]


def test_what_is_no_number_is_null_in_the_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    last_line({"a": float("nan"), "b": {"c": [float("inf"), 1.5]}, "폐": "렴"}, data=Data.REAL, quick=False)
    out = capsys.readouterr().out
    assert out == '{"a": null, "b": {"c": [null, 1.5]}, "폐": "렴", "quick": false, "data": "real"}\n'


# --- where a program reads and writes


def test_a_quick_run_leaves_nothing_unless_its_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with results_folder(None, "trial", quick=True) as out:
        (out / "cell").touch()
    assert not out.exists()
    with results_folder(tmp_path / "named", "trial", quick=True) as out:
        (out / "cell").touch()
    assert (tmp_path / "named" / "cell").exists()
    assert str(tmp_path / "named") in capsys.readouterr().out


def test_a_full_run_finds_its_folder_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with results_folder(None, "trial", quick=False) as out:
        (out / "cell").touch()
    with results_folder(None, "trial", quick=False) as again:
        assert (again / "cell").exists()
    assert capsys.readouterr().out.splitlines()[0].startswith(f"results in {tmp_path}/nightread-trial")


def test_without_real_data_reports_are_made_up_and_it_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    texts, truth, data = benchmark_form.labelled_reports(NOWHERE)
    assert data == "made up"
    assert len(texts) == len(set(texts)) > 700
    assert truth.shape == (len(texts), len(FINDINGS))
    assert set(np.unique(truth)) == {0, 1}
    assert "no-real-data-here" in capsys.readouterr().err


def test_a_program_that_means_nothing_without_real_data_names_the_way_out() -> None:
    with pytest.raises(SystemExit, match="--data"):
        benchmark_form.demand(NOWHERE)


@pytest.mark.skipif(not benchmark_form.is_real(benchmark_form.DATA), reason="../shared/data is absent")
def test_real_reports_are_each_there_once() -> None:
    rows, data = benchmark_form.report_rows(benchmark_form.DATA)
    assert data == "real"
    assert len(rows) == len({row["report_text"] for row in rows}) > 700
