"""`nightread annotations …`: readings that are imported, compared and asked for, on a real database."""

import csv
import json
import stat
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from command_results import done, refusal
from given import MONDAY, record, store
from typer.testing import Result
from under_test import TINY_TEXTS, HouseUnderTest

from nightread.commands import annotations as command
from pipeline import annotation_files, annotations, findings, label_sets, labelling
from pipeline.annotation_files import text_hash
from pipeline.findings import Labelled
from pipeline.tables import ModelVersion, Split, Stage

NAMES = [name for name, _, _ in label_sets.CT_RATE_FINDINGS]
Typed = Callable[..., Result]


@pytest.fixture
def typed(invoke: Callable[..., Result]) -> Typed:
    return partial(invoke, command.app)


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, header: Sequence[str], *rows: Sequence[object]) -> Path:
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([header, *rows])
        return tmp_path / name

    return write


HEADER = ("id", "site", "text", "Nodule", "흉수")


def standing(house: HouseUnderTest) -> list[tuple[str, list[int]]]:
    return [(row.source_id, row.labels) for row in house.rows("SELECT source_id, labels FROM annotation ORDER BY id")]


# --- import


def test_readings_are_kept_and_what_they_come_to_stands(
    house: HouseUnderTest, typed: Typed, file: Callable[..., Path]
) -> None:
    kim = file("kim.csv", HEADER, ("r1", "seoul", "A", 1, 0), ("r2", "seoul", "B", 0, 0))
    said = done(typed("import", kim, "--annotator", "kim"))
    assert "2 are new" in said
    assert "2 readings are new, 0 replace" in said
    lee = file("lee.csv", HEADER, ("r1", "seoul", "A", 0, 0), ("r3", "seoul", "C", 1, 1))
    said = done(typed("import", lee, "--annotator", "lee"))
    assert "1 are new" in said
    assert "1 reports are disputed" in said
    assert standing(house) == [("r1", [1, 0]), ("r2", [0, 0]), ("r3", [1, 1])], "the first reading settles a tie"

    park = file("park.csv", HEADER, ("r1", "seoul", "A", 0, 0))
    assert "disputed" not in done(typed("import", park, "--annotator", "park"))
    assert standing(house)[0] == ("r1", [0, 0]), "two of three"
    choi = file("choi.csv", HEADER, ("r1", "seoul", "A", 1, 1))
    done(typed("import", choi, "--annotator", "choi", "--decides"))
    assert standing(house)[0] == ("r1", [1, 1])
    readings = house.rows(
        "SELECT annotator, decides FROM annotation_reading WHERE annotation_id = 1 ORDER BY annotator"
    )
    assert [tuple(row) for row in readings] == [("choi", True), ("kim", False), ("lee", False), ("park", False)]


def test_importing_again_changes_nothing(house: HouseUnderTest, typed: Typed, file: Callable[..., Path]) -> None:
    labels = file("labels.csv", HEADER, ("r1", "seoul", "A", 1, 0), ("r2", "busan", "A", 0, 1))
    done(typed("import", labels))
    before = (
        house.rows("SELECT * FROM annotation ORDER BY id"),
        house.rows("SELECT * FROM annotation_reading ORDER BY 1"),
    )
    said = done(typed("import", labels))
    assert "0 are new" in said
    assert "0 readings are new, 0 replace" in said
    assert before == (
        house.rows("SELECT * FROM annotation ORDER BY id"),
        house.rows("SELECT * FROM annotation_reading ORDER BY 1"),
    )


def test_the_same_labels_with_and_without_a_name_are_one_reading(
    house: HouseUnderTest, typed: Typed, file: Callable[..., Path]
) -> None:
    both = file("both.csv", HEADER, ("r1", "seoul", "A", 1, 0), ("r2", "seoul", "B", 0, 1))
    done(typed("import", both))
    said = done(typed("import", file("kim.csv", HEADER, ("r1", "seoul", "A", 1, 0)), "--annotator", "kim"))
    assert "1 readings are new, 0 replace" in said
    lee = file("lee.csv", HEADER, ("r1", "seoul", "A", 1, 0), ("r2", "seoul", "B", 1, 1))
    assert "unknown" not in done(typed("import", lee, "--annotator", "lee")), "nobody can tell whom it would compare"
    said = done(typed("import", both))
    assert "0 readings are new, 0 replace" in said
    readings = house.rows("SELECT annotation_id, annotator FROM annotation_reading ORDER BY 1, imported_at")
    assert [tuple(row) for row in readings] == [(1, "kim"), (1, "lee"), (2, "unknown"), (2, "lee")]
    assert standing(house) == [("r1", [1, 0]), ("r2", [0, 1])]


def test_an_annotator_may_think_again(house: HouseUnderTest, typed: Typed, file: Callable[..., Path]) -> None:
    done(typed("import", file("a.csv", HEADER, ("r1", "seoul", "A", 1, 0)), "--annotator", "kim"))
    said = done(typed("import", file("b.csv", HEADER, ("r1", "seoul", "A", 0, 0)), "--annotator", "kim"))
    assert "0 readings are new, 1 replace" in said
    assert standing(house) == [("r1", [0, 0])]
    assert house.value("SELECT count(*) FROM annotation_reading") == 1


def test_the_split_of_the_first_import_stays(house: HouseUnderTest, typed: Typed, file: Callable[..., Path]) -> None:
    header = ("id", "text", "split", "Nodule")
    done(typed("import", file("a.csv", header, ("r1", "A", "gate", 1)), "--annotator", "kim"))
    said = done(typed("import", file("b.csv", header, ("r1", "A", "train", 1)), "--annotator", "lee"))
    assert "1 reports keep the split" in said
    assert house.value("SELECT split FROM annotation") == "gate"


def test_a_column_of_annotators_is_as_good_as_two_files(
    house: HouseUnderTest, typed: Typed, file: Callable[..., Path]
) -> None:
    both = file("both.csv", ("text", "annotator", "Nodule"), ("A", "lee", 0), ("A", "kim", 1), ("B", "lee", 1))
    said = done(typed("import", both))
    assert "2 reports" in said
    assert "kim and lee: 1 reports read by both" in said
    assert house.value("SELECT count(*) FROM annotation_reading") == 3
    assert [labels for _, labels in standing(house)] == [[1], [1]], "imported together, the first by name settles it"


def test_a_label_set_that_was_asked_for_is_insisted_on(typed: Typed, file: Callable[..., Path]) -> None:
    said = refusal(typed("import", file("a.csv", HEADER, ("r1", "seoul", "A", 1, 0)), "--label-set", "ct-rate-18"))
    assert "only one of the two has: Arterial wall calcification" in said
    assert "there is no label set 'chest'" in refusal(
        typed("import", file("a.csv", HEADER, ("r1", "seoul", "A", 1, 0)), "--label-set", "chest")
    )


def test_a_gap_in_a_known_finding_is_named_without_the_text(typed: Typed, file: Callable[..., Path]) -> None:
    half = file(
        "half.csv", ("text", *NAMES), ("secret words", *(0,) * 17, ""), *((f"t{n}", *(0,) * 18) for n in range(3))
    )
    said = refusal(typed("import", half))
    assert "line 2, column 'Interlobular septal thickening' is empty" in said
    assert "secret" not in said


# --- agreement


def two_readers(typed: Typed, file: Callable[..., Path]) -> None:
    one = [
        ("r1", "seoul", "A", 1, 0),
        ("r2", "seoul", "B", 1, 0),
        ("r3", "busan", "C", 0, 0),
        ("r4", "busan", "D", 0, 0),
    ]
    two = [
        ("r1", "seoul", "A", 1, 0),
        ("r2", "seoul", "B", 0, 0),
        ("r3", "busan", "C", 0, 0),
        ("r5", "busan", "E", 1, 1),
    ]
    done(typed("import", file("one.csv", HEADER, *one), "--annotator", "kim"))
    done(typed("import", file("two.csv", HEADER, *two), "--annotator", "lee"))


def test_agreement_counts_reports_that_both_have_read(typed: Typed, file: Callable[..., Path]) -> None:
    two_readers(typed, file)
    (pair,) = json.loads(done(typed("agreement", "--json")))
    assert (pair["annotators"], pair["reports"]) == (["kim", "lee"], 3)
    nodule, effusion = pair["labels"]["Nodule"], pair["labels"]["흉수"]
    assert nodule["positives"] == {"kim": 2, "lee": 1}
    assert nodule["agreed"] == pytest.approx(2 / 3)
    assert nodule["kappa"] == pytest.approx(0.4)
    assert (effusion["agreed"], effusion["kappa"]) == (1.0, None)
    assert pair["all"]["agreed"] == pytest.approx(5 / 6)

    (busan,) = json.loads(done(typed("agreement", "--site", "busan", "--json")))
    assert (busan["reports"], busan["all"]["agreed"]) == (1, 1.0)
    table = done(typed("agreement"))
    assert "3 reports read by both" in table
    assert "–" in table, "no kappa where nobody ever said yes"


def test_differences_are_written_without_texts(typed: Typed, file: Callable[..., Path], tmp_path: Path) -> None:
    two_readers(typed, file)
    out = tmp_path / "differences.csv"
    assert "1 disagreements" in done(typed("agreement", "--disagreements", out))
    assert out.read_text(encoding="utf-8-sig").splitlines() == [
        "site,source_id,finding,kim,lee,stands",
        "seoul,r2,Nodule,1,0,1",
    ]
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert "exists; name another file" in refusal(typed("agreement", "--disagreements", out))
    late = file("late.csv", HEADER, ("r9", "seoul", "Z", 1, 1))
    assert "exists; name another file" in refusal(typed("import", late, "--disagreements", out))
    counts = json.loads(done(typed("list", "--json")))
    assert not any("unknown" in one["annotators"] for one in counts), "refused before anything is imported"


def test_without_a_second_reader_there_is_nothing_to_compare(typed: Typed, file: Callable[..., Path]) -> None:
    assert "there are no annotations yet" in refusal(typed("agreement"))
    done(typed("import", file("a.csv", HEADER, ("r1", "seoul", "A", 1, 0))))
    assert "No report has been read by two" in done(typed("agreement"))
    assert json.loads(done(typed("agreement", "--json"))) == []


def test_which_label_set_has_to_be_said_if_there_are_two(typed: Typed, file: Callable[..., Path]) -> None:
    done(typed("import", file("a.csv", ("text", "Nodule"), ("A", 1))))
    done(typed("import", file("b.csv", ("text", "Mass"), ("A", 1))))
    assert "annotations belong to 2 label sets; say --label-set labels-" in refusal(typed("agreement"))


def test_counts_by_set_site_split_and_annotator(typed: Typed, file: Callable[..., Path]) -> None:
    assert "No annotations yet" in done(typed("list"))
    two_readers(typed, file)
    busan, seoul = json.loads(done(typed("list", "--json")))
    assert (seoul["site"], seoul["annotators"]) == ("seoul", {"kim": 2, "lee": 2})
    assert (busan["site"], busan["annotators"]) == ("busan", {"kim": 2, "lee": 2})
    assert sum(busan[split] for split in Split) == 3
    assert "kim 2, lee 2" in done(typed("list"))


# --- what the rest of the house learns from


def test_gate_annotations_are_what_a_model_is_judged_by(
    house: HouseUnderTest, typed: Typed, file: Callable[..., Path]
) -> None:
    header = ("text", "split", "Nodule", "흉수")
    done(typed("import", file("a.csv", header, ("A", "train", 1, 0), ("B", "gate", 0, 1), ("C", "gate", 1, 1))))
    with house.sessions.begin() as session:
        label_set = annotations.annotated_set(session, None).id
        gate = annotations.as_file(session, label_set, Split.GATE)
        assert [one.text for one in annotations.stored(session, label_set, Split.TRAIN)] == ["A"]
    assert gate.labels == ("Nodule", "흉수")
    assert [(one.text, one.labels) for one in gate.rows] == [("B", (0, 1)), ("C", (1, 1))]


def test_a_model_is_made_and_judged_without_naming_a_file(
    house: HouseUnderTest, typed: Typed, file: Callable[..., Path], tiny_artifact: tuple[Path, str]
) -> None:
    foundation = ("--foundation", str(tiny_artifact[0].parent / "foundation"), "--epochs", "1")
    refused = house.command("train", *foundation)
    assert refused.returncode == 1
    assert "there are no annotations yet" in refused.stderr
    header = ("text", "split", "annotator", "Nodule", "흉수")
    splits = ("train",) * 8 + ("gate",) * 2
    rows = [(f"{TINY_TEXTS[n % 4]} ({n})", split, "kim", n % 2, 1) for n, split in enumerate(splits)]
    disputed = (f"{TINY_TEXTS[0]} (0)", "train", "lee", 1, 1)
    done(typed("import", file("a.csv", header, *rows, disputed)))
    made = house.command("train", *foundation, "--promote")
    assert made.returncode == 0, made.stderr
    assert "10 reports, 2 labels; 8 train, 0 calibration, 2 gate" in made.stdout
    assert house.value("SELECT count(*) FROM fitted_on") == 8
    judged = house.command("evaluate", "--json")
    assert judged.returncode == 0, judged.stderr
    assert json.loads(judged.stdout)["reports"] == 2

    done(typed("import", file("b.csv", ("text", "Mass"), ("A", 1))))
    refused = house.command("train", *foundation)
    assert "annotations belong to 2 label sets" in " ".join(refused.stderr.split())
    wrong = house.command("train", *foundation, "--annotations", "a.csv", "--label-set", "x")
    assert wrong.returncode == 2


# --- what is asked for


def serves(house: HouseUnderTest) -> int:
    with house.sessions.begin() as session:
        version = ModelVersion(
            kind="classifier",
            foundation="km-bert",
            stage=Stage.PRODUCTION,
            serving_rank=1,
            artifact="none",
            artifact_sha256="0" * 64,
            label_set_id=label_sets.register_default(session),
            thresholds=[0.5] * len(NAMES),
        )
        session.add(version)
        session.flush()
        return version.id


def read_by_model(house: HouseUnderTest, probabilities: dict[str, Sequence[float]]) -> None:
    """Let the serving model have said this of reports, by source id."""
    ids = {row.source_id: row.id for row in house.rows("SELECT id, source_id FROM report WHERE is_current")}
    with house.sessions.begin() as session:
        model = labelling.serving(session)
        assert model is not None
        said = [Labelled(ids[source_id], tuple(row), ()) for source_id, row in probabilities.items()]
        findings.save(session, said, model=model)


@pytest.fixture
def ward(house: HouseUnderTest) -> dict[str, str]:
    """Sixty reports of Seoul that a model has read, and one each that must not be asked for; texts by source id."""
    rng = np.random.default_rng(0)
    texts = {
        f"r{number}": f"Report {number}: " + " ".join(f"w{n}" for n in rng.integers(0, 5000, 12))
        for number in range(60)
    }
    patients = {source_id: f"p-{source_id}" for source_id in texts}
    store(house, *(record(source_id, text, patient=patients[source_id]) for source_id, text in texts.items()))
    store(house, record("other", "Elsewhere."), feed="far", site="busan")
    serves(house)
    read_by_model(house, {source_id: rng.uniform(0.02, 0.98, len(NAMES)).tolist() for source_id in texts})
    store(house, record("unread", "Came just now."))
    return texts


def rows_of(out: Path) -> list[dict[str, str]]:
    with out.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def test_what_is_asked_for_can_be_filled_in_and_imported(
    house: HouseUnderTest, typed: Typed, ward: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "next.csv"
    said = done(typed("export", "--uncertain", 18, "--site", "seoul", "--out", out))
    assert "18 reports of seoul" in said
    assert all(f"{name} 1" in said for name in NAMES)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    rows = rows_of(out)
    assert len({row["source_id"] for row in rows}) == 18
    for row in rows:
        assert row["report_text"] == ward[row["source_id"]]
        assert row["site"] == "seoul"
        assert [row[name] for name in NAMES] == [""] * len(NAMES)
        assert 0 < float(row["probability"]) < 1
        assert annotation_files.split_of(row["patient"]) == Split.TRAIN
    assert Counter(row["asked_for"] for row in rows) == dict.fromkeys(NAMES, 1)

    assert "no report has a label yet" in refusal(typed("import", out))
    with out.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(row | {name: int(name == row["asked_for"]) for name in NAMES} for row in rows[:12])
        writer.writerows(rows[12:])
    said = done(typed("import", out, "--annotator", "kim"))
    assert "12 reports (12 train" in said
    assert "6 reports have no label yet" in said
    stored = house.rows("SELECT source_id, site, labels FROM annotation ORDER BY id")
    assert [row.source_id for row in stored] == [row["source_id"] for row in rows[:12]]
    assert all(sum(row.labels) == 1 for row in stored)

    again = tmp_path / "again.csv"
    done(typed("export", "--uncertain", 18, "--site", "seoul", "--out", again))
    assert not {row["source_id"] for row in rows[:12]} & {row["source_id"] for row in rows_of(again)}


def test_only_current_reports_of_the_site_that_the_model_has_read_are_asked_for(
    house: HouseUnderTest, typed: Typed, ward: dict[str, str], tmp_path: Path
) -> None:
    with house.sessions.begin() as session:
        label_set = label_sets.register_default(session)
        known = annotation_files.Annotated("x", "busan", ward["r5"], text_hash(ward["r5"]), (0,) * 18, Split.TRAIN)
        annotations.keep(session, [known], label_set_id=label_set)
    store(house, record("r6", None), record("r7", "Rewritten.", updated_at=MONDAY.replace(day=9)))
    out = tmp_path / "all.csv"
    said = done(typed("export", "--uncertain", 500, "--site", "seoul", "--out", out))
    assert "fewer than 500" in said
    found = {row["source_id"] for row in rows_of(out)}
    trained_on = {source_id for source_id in ward if annotation_files.split_of(f"p-{source_id}") == Split.TRAIN}
    assert found == trained_on - {"r5", "r6", "r7"}
    assert 40 < len(trained_on) < 56


def test_language_narrows_it_down(house: HouseUnderTest, typed: Typed, ward: dict[str, str], tmp_path: Path) -> None:
    assert ward
    store(house, *(record(f"k{number}", f"흉수 {number} 소견 없음", patient=f"k{number}") for number in range(10)))
    read_by_model(house, {f"k{number}": [0.4] * len(NAMES) for number in range(10)})
    out = tmp_path / "korean.csv"
    done(typed("export", "--uncertain", 5, "--site", "seoul", "--language", "ko", "--out", out))
    assert {row["language"] for row in rows_of(out)} == {"ko"}
    assert typed("export", "--uncertain", 5, "--site", "seoul", "--language", "de", "--out", out).exit_code == 2


def test_a_random_sample_is_fair_and_needs_no_model(
    house: HouseUnderTest, typed: Typed, tmp_path: Path, file: Callable[..., Path]
) -> None:
    store(house, *(record(f"r{number}", f"Report {number}", patient=f"p{number}") for number in range(50)))
    out, again = tmp_path / "a.csv", tmp_path / "b.csv"
    done(typed("export", "--random", 20, "--site", "seoul", "--out", out))
    done(typed("export", "--random", 20, "--site", "seoul", "--label-set", "ct-rate-18", "--out", again))
    assert out.read_bytes() == again.read_bytes()
    rows = rows_of(out)
    assert {annotation_files.split_of(row["patient"]) for row in rows} > {Split.TRAIN}, "for judging as well"
    assert {row["asked_for"] for row in rows} == {""}
    filled = file("filled.csv", tuple(rows[0]), *(tuple((row | dict.fromkeys(NAMES, "0")).values()) for row in rows))
    done(typed("import", filled))
    rest = tmp_path / "rest.csv"
    done(typed("export", "--random", 50, "--site", "seoul", "--label-set", "ct-rate-18", "--out", rest))
    assert len(rows_of(rest)) == 30


def test_what_cannot_be_exported_says_why(house: HouseUnderTest, typed: Typed, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    wanted = ("export", "--uncertain", 5, "--site", "seoul", "--out", out)
    assert "no model serves yet" in refusal(typed(*wanted))
    serves(house)
    assert "has read no report of site 'seoul'" in refusal(typed(*wanted))
    assert "no report of site 'seoul'" in refusal(typed("export", "--random", 5, "--site", "seoul", "--out", out))
    assert not out.exists()
    out.write_text("labels of a week's work")
    assert "exists; name another file" in refusal(typed(*wanted))
    assert out.read_text() == "labels of a week's work"
    for wrong in (("--site", "seoul"), ("--uncertain", 1, "--random", 1, "--site", "seoul")):
        assert typed("export", *wrong, "--out", tmp_path / "new.csv").exit_code == 2
