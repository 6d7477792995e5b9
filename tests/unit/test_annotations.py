"""Labels given by people: what a CSV may look like, what is refused and where, and who judges whom."""

import csv
import io
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import annotation_files
from pipeline.annotation_files import AnnotationFile, UnusableAnnotations, split_of, text_hash
from pipeline.tables import Split

Write = Callable[..., Path]


@pytest.fixture
def file(tmp_path: Path) -> Write:
    def write(header: Sequence[str], *rows: Sequence[object], encoding: str = "utf-8") -> Path:
        content = io.StringIO()
        writer = csv.writer(content, lineterminator="\n")
        writer.writerows([header, *rows])
        (tmp_path / "labels.csv").write_bytes(content.getvalue().encode(encoding))
        return tmp_path / "labels.csv"

    return write


def refused(file: Path, **columns: str) -> str:
    with pytest.raises(UnusableAnnotations) as error:
        annotation_files.read(file, **columns)
    return str(error.value)


# --- which columns are labels


def test_every_column_of_0_and_1_is_a_label(file: Write) -> None:
    found = annotation_files.read(
        file(
            ("id", "report_text", "Emphysema", "age", "흉수", "remark"),
            ("r1", "No nodule.", 0, 57, 1, "seen twice"),
            ("r2", "폐기종 있음.", 1, 61, 0, ""),
        )
    )
    assert found.labels == ("Emphysema", "흉수")
    assert found.ignored_columns == ("age", "remark")
    assert [(row.source_id, row.text, row.labels) for row in found.rows] == [
        ("r1", "No nodule.", (0, 1)),
        ("r2", "폐기종 있음.", (1, 0)),
    ]


def test_columns_with_a_meaning_are_no_labels_even_if_they_hold_0_and_1(file: Write) -> None:
    found = annotation_files.read(
        file(("ID", "Text", "Site", "Patient", "split", "Nodule"), (0, "A", 1, 0, "gate", 1), (1, "B", 0, 1, "gate", 0))
    )
    assert found.labels == ("Nodule",)
    assert [(row.source_id, row.site) for row in found.rows] == [("0", "1"), ("1", "0")]


@pytest.mark.parametrize(("yes", "no"), [("1", "0"), ("1.0", "0.0"), ("True", "False"), (" 1 ", "0 ")])
def test_0_and_1_as_other_programs_write_them(yes: str, no: str, file: Write) -> None:
    found = annotation_files.read(file(("text", "Nodule"), ("A", yes), ("B", no)))
    assert [row.labels for row in found.rows] == [(1,), (0,)]


def test_columns_can_be_named(file: Write) -> None:
    csv_file = file(("number", "befund", "text", "Nodule"), ("7", "A nodule.", "no report", 1))
    (row,) = annotation_files.read(csv_file, id_column="number", text_column="befund").rows
    assert (row.source_id, row.text, row.labels) == ("7", "A nodule.", (1,))


def test_without_an_id_the_line_is_the_id(file: Write) -> None:
    rows = annotation_files.read(file(("text", "Nodule"), ("A", 1), ("B", 0))).rows
    assert [row.source_id for row in rows] == ["2", "3"]


def test_without_a_site_it_is_unknown(file: Write) -> None:
    (row,) = annotation_files.read(file(("text", "site", "Nodule"), ("A", " ", 1))).rows
    assert row.site == annotation_files.DEFAULT_SITE


# --- how a CSV may be written


def test_excel_s_byte_order_mark_is_no_part_of_the_first_column(file: Write) -> None:
    csv_file = file(("text", "Nodule"), ("결절 없음.", 0), encoding="utf-8-sig")
    assert annotation_files.read(csv_file).rows[0].text == "결절 없음."


def test_quoted_texts_keep_their_lines_quotes_and_commas(file: Write) -> None:
    text = 'Findings:\n- nodule, 3.5 cm\n- "sharp" margin\r\n\n판독: 결절'
    (row,) = annotation_files.read(file(("text", "Nodule"), (text, 1))).rows
    assert row.text == text


def test_a_report_of_a_megabyte_is_read(file: Write) -> None:
    assert len(annotation_files.read(file(("text", "Nodule"), ("x" * 1_000_000, 1))).rows[0].text) == 1_000_000


# --- mistakes


def test_a_value_that_is_neither_0_nor_1_is_named_by_line_and_column(file: Write) -> None:
    rows: list[tuple[str, object]] = [(f"Report {number}", number % 2) for number in range(20)]
    rows[12] = ("Report 12", "yes")
    said = refused(file(("text", "Nodule"), *rows))
    assert "line 14" in said
    assert "'Nodule'" in said
    assert "yes" not in said


def test_an_empty_text_is_named_by_line(file: Write) -> None:
    assert "line 3 has no text in column 'text'" in refused(file(("text", "Nodule"), ("A", 1), ("  ", 0)))


def test_the_line_counts_lines_of_the_file_not_rows(file: Write) -> None:
    assert "line 5 has no text" in refused(file(("text", "Nodule"), ("A\nB\nC", 1), ("", 0)))


def test_a_nul_character_is_named_by_line(file: Write) -> None:
    said = refused(file(("text", "Nodule"), ("A", 1), ("secret\x00words", 0)))
    assert "line 3" in said
    assert "secret" not in said


def test_an_unknown_split_is_named_by_line(file: Write) -> None:
    said = refused(file(("text", "split", "Nodule"), ("A", "train", 1), ("B", "test", 0)))
    assert "line 3 has split 'test'" in said
    assert "train, calibration or gate" in said


@pytest.mark.parametrize("row", ["B", "B,0,1"], ids=["short", "long"])
def test_a_line_with_another_number_of_columns_is_named(row: str, tmp_path: Path) -> None:
    csv_file = tmp_path / "labels.csv"
    csv_file.write_text(f"text,Nodule\nA,1\n{row}\n")
    assert "line 3 does not have the header's 2 columns" in refused(csv_file)


def test_one_text_with_two_opinions_is_named_by_both_lines(file: Write) -> None:
    said = refused(file(("text", "Nodule"), ("A nodule.", 1), ("Other", 0), ("a  NODULE.", 0)))
    assert "lines 2 and 4" in said
    assert "different labels" in said


def test_two_sites_may_differ_about_the_same_text(file: Write) -> None:
    found = annotation_files.read(file(("text", "site", "Nodule"), ("A nodule.", "x", 1), ("A nodule.", "y", 0)))
    assert len(found.rows) == 2


def test_a_text_that_stands_twice_counts_once(file: Write) -> None:
    found = annotation_files.read(file(("id", "text", "Nodule"), ("r1", "A nodule.", 1), ("r2", "a nodule. ", 1)))
    assert [row.source_id for row in found.rows] == ["r1"]


def test_two_columns_of_one_name_are_refused(file: Write) -> None:
    assert "'Nodule'" in refused(file(("text", "Nodule", "Nodule"), ("A", 1, 0)))


def test_a_file_without_a_text_column_is_refused_with_the_way_out(file: Write) -> None:
    assert "--text-column" in refused(file(("befund", "Nodule"), ("A", 1)))


def test_a_first_line_that_is_a_report_is_not_quoted(file: Write) -> None:
    assert "effusion" not in refused(file(("Small effusion.", "1"), ("No nodule.", 0)), id_column="nr")


def test_a_column_that_was_named_but_is_not_there_is_refused(file: Write) -> None:
    said = refused(file(("text", "Nodule"), ("A", 1)), id_column="nr")
    assert "none of the 2 columns" in said
    assert "is 'nr'" in said


def test_a_file_without_labels_is_refused(file: Write) -> None:
    assert "no 0/1 column" in refused(file(("text", "age"), ("A", 57)))


def test_a_header_alone_is_refused(file: Write) -> None:
    assert "no rows" in refused(file(("text", "Nodule")))


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("")
    assert "no rows" in refused(tmp_path / "labels.csv")


def test_another_encoding_is_refused_without_quoting_it(file: Write) -> None:
    said = refused(file(("text", "Nodule"), ("결절 없음", 0), encoding="cp949"))
    assert "not UTF-8" in said


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refused(tmp_path / "none.csv")


def test_an_unclosed_quote_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text('text,Nodule\n"A,1\n')
    assert "no valid CSV" in refused(tmp_path / "labels.csv")


# --- who read what, and what is read already


def test_whoever_is_named_read_all_of_it(file: Write) -> None:
    found = annotation_files.read(file(("text", "Nodule"), ("A", 1), ("B", 0)), annotator=" kim ")
    assert [row.annotator for row in found.rows] == ["kim", "kim"]


def test_a_column_names_annotators_line_by_line(file: Write) -> None:
    csv_file = file(("text", "annotator", "Nodule"), ("A", "kim", 1), ("A", "lee", 0), ("a ", "kim", 1))
    found = annotation_files.read(csv_file)
    assert [(row.annotator, row.labels) for row in found.rows] == [("kim", (1,)), ("lee", (0,))]
    with pytest.raises(UnusableAnnotations, match="leave out --annotator"):
        annotation_files.read(csv_file, annotator="park")


def test_one_annotator_with_two_opinions_of_a_text_is_refused(file: Write) -> None:
    said = refused(file(("text", "annotator", "Nodule"), ("A", "kim", 1), ("A", "lee", 0), ("A", "kim", 0)))
    assert "lines 2 and 4" in said


def test_a_line_without_an_annotator_is_refused(file: Write) -> None:
    said = refused(file(("text", "annotator", "Nodule"), ("A", "kim", 1), ("B", " ", 0)))
    assert "line 3 names no annotator" in said


def test_of_a_known_set_a_gap_is_an_error_and_not_another_kind_of_data(file: Write) -> None:
    csv_file = file(("text", "Nodule", "Mass"), ("A", 1, ""), ("B", 0, 0), ("C", 0, ""))
    assert annotation_files.read(csv_file).labels == ("Nodule",)
    with pytest.raises(UnusableAnnotations, match="line 2, column 'Mass' is empty"):
        annotation_files.read(csv_file, known=[("Nodule",), ("Mass", "Nodule")])


def test_of_a_known_set_reports_without_any_label_are_not_read_yet(file: Write) -> None:
    csv_file = file(("text", "Nodule", "Mass"), ("A", 1, 0), ("B", "", " "), ("C", "", ""))
    found = annotation_files.read(csv_file, known=[("Nodule", "Mass")])
    assert ([row.text for row in found.rows], found.unread) == (["A"], 2)


def test_a_file_that_nobody_has_filled_in_is_refused(file: Write) -> None:
    csv_file = file(("text", "Nodule"), ("A", ""), ("B", ""))
    with pytest.raises(UnusableAnnotations, match="no report has a label yet"):
        annotation_files.read(csv_file, known=[("Nodule",)])


def test_why_a_report_was_asked_for_is_no_label(file: Write) -> None:
    header = (
        "source_id",
        "report_id",
        "site",
        "patient",
        "language",
        "report_text",
        "Nodule",
        "asked_for",
        "probability",
    )
    csv_file = file(
        header, (1, 1, "seoul", "p1", "ko", "A", 1, "Nodule", 0), (0, 0, "seoul", "p2", "en", "B", 0, "", 1)
    )
    found = annotation_files.read(csv_file)
    assert found.labels == ("Nodule",)
    assert [(row.source_id, row.site) for row in found.rows] == [("1", "seoul"), ("0", "seoul")]
    assert [row.split for row in found.rows] == [split_of("p1"), split_of("p2")]


def test_labels_can_be_put_in_another_order(file: Write) -> None:
    found = annotation_files.read(file(("text", "Nodule", "Mass"), ("A", 1, 0)))
    assert [row.labels for row in found.in_order(["Mass", "Nodule"])] == [(0, 1)]


# --- splits


def splits(found: AnnotationFile) -> list[Split]:
    return [row.split for row in found.rows]


def test_a_text_falls_into_the_same_split_for_ever() -> None:
    # Written down, so that no later version moves gate reports into training.
    drawn = {key: str(split_of(key)) for key in ("p1", "p2", "p4", "결절")}
    assert drawn == {"p1": "calibration", "p2": "train", "p4": "gate", "결절": "gate"}


def test_eight_of_ten_are_for_training() -> None:
    drawn = [split_of(f"patient-{number}") for number in range(5000)]
    assert 0.78 < drawn.count(Split.TRAIN) / 5000 < 0.82
    assert 0.09 < drawn.count(Split.CALIBRATION) / 5000 < 0.11
    assert 0.09 < drawn.count(Split.GATE) / 5000 < 0.11


def test_all_reports_of_a_patient_are_in_one_split(file: Write) -> None:
    rows = [(f"Report {number}", f"p{number // 10}", number % 2) for number in range(100)]
    found = annotation_files.read(file(("text", "patient_id", "Nodule"), *rows))
    by_patient = [set(splits(found)[start : start + 10]) for start in range(0, 100, 10)]
    assert all(len(of_one) == 1 for of_one in by_patient)
    assert len(set.union(*by_patient)) > 1


def test_without_a_patient_the_text_decides_whatever_its_spelling(file: Write) -> None:
    one = annotation_files.read(file(("text", "patient", "Nodule"), ("Nodule in the  LUNG", "", 1)))
    other = annotation_files.read(file(("id", "text", "Nodule"), ("x", " nodule in the lung\n", 1)))
    assert splits(one) == splits(other) == [split_of(text_hash("nodule in the lung"))]


def test_a_named_split_takes_precedence(file: Write) -> None:
    rows = [(f"Report {number}", "p1", split, 1) for number, split in enumerate(("gate", "Train ", "calibration"))]
    found = annotation_files.read(file(("text", "patient", "split", "Nodule"), *rows))
    assert splits(found) == ["gate", "train", "calibration"]


def test_an_empty_split_is_drawn(file: Write) -> None:
    (row,) = annotation_files.read(file(("text", "patient", "split", "Nodule"), ("A", "p4", "", 1))).rows
    assert row.split == split_of("p4") == Split.GATE


def test_order_and_neighbours_do_not_move_a_report(file: Write) -> None:
    rows = [(f"Report {number}", number % 2) for number in range(50)]
    forwards = {row.text: row.split for row in annotation_files.read(file(("text", "Nodule"), *rows)).rows}
    few_backwards = annotation_files.read(file(("text", "Nodule"), *rows[40:10:-1])).rows
    assert all(forwards[row.text] == row.split for row in few_backwards)


# --- equal texts


@given(st.text())
def test_a_text_s_accidents_do_not_count(text: str) -> None:
    decomposed = unicodedata.normalize("NFD", text)
    assert text_hash(f"\n {decomposed}\t ") == text_hash(text)


def test_different_words_are_different_texts() -> None:
    assert text_hash("No nodule.") != text_hash("Nodule.")
    assert text_hash("결절 없음") != text_hash("결절 있음")
