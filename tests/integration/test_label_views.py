"""What the views make of labels: wide and long, words, prevalence, and every report counted once."""

from collections import Counter

from given import MONDAY, record, store, stored
from label_jobs import COLUMNS, TEXTS, TUESDAY, Serve, label, status
from under_test import HouseUnderTest

from models.errors import ReadingError
from pipeline import label_sets
from pipeline.names import Role


def test_the_wide_view_has_a_column_for_each_label(house: HouseUnderTest, serve: Serve, dividing: float) -> None:
    version = serve(threshold=dividing)
    stored(house, TEXTS)
    label(house)
    rows = [row._mapping for row in house.rows("SELECT * FROM report_labels ORDER BY report_id", Role.ANALYST)]
    assert list(rows[0])[-18:] == COLUMNS
    stated = house.rows("SELECT report_id, probabilities, thresholds FROM current_classification ORDER BY report_id")
    for row, one in zip(rows, stated, strict=True):
        positive = [
            probability >= threshold for probability, threshold in zip(one.probabilities, one.thresholds, strict=True)
        ]
        assert [row[column] for column in COLUMNS] == positive
        assert (row["model_version"], row["stale"], row["version"], row["site"]) == (version, False, 1, "seoul")
    values = Counter(row[column] for row in rows for column in COLUMNS)
    assert values[True], "the threshold should divide them, or the test shows little"
    assert values[False]


def test_the_long_views_say_the_same(house: HouseUnderTest, serve: Serve, dividing: float) -> None:
    serve(threshold=dividing)
    stored(house, TEXTS)
    label(house)
    wide = {
        (row["report_id"], column)
        for row in (row._mapping for row in house.rows("SELECT * FROM report_labels"))
        for column in COLUMNS
        if row[column]
    }
    long = house.rows("SELECT report_id, column_name, positive FROM label_probabilities", Role.ANALYST)
    assert len(long) == len(TEXTS) * 18
    assert {(row.report_id, row.column_name) for row in long if row.positive} == wide
    found = house.rows("SELECT report_id, column_name, korean_name FROM report_findings", Role.ANALYST)
    assert {(row.report_id, row.column_name) for row in found} == wide
    korean = {column: korean for _, column, korean in label_sets.CT_RATE_FINDINGS}
    assert all(row.korean_name == korean[row.column_name] for row in found)


def test_the_words_of_a_heatmap_are_the_report_s_own_characters(house: HouseUnderTest, serve: Serve) -> None:
    serve()
    stored(house, TEXTS)
    label(house)
    texts = {row.report_id: row.text for row in house.rows("SELECT report_id, text FROM report_texts", Role.READER)}
    words = house.rows("SELECT * FROM finding_words ORDER BY report_id, label, word_index", Role.READER)
    for row in words:
        assert row.word == texts[row.report_id][row.word_start : row.word_end] != ""
    seen = {row.word for row in words}
    assert seen >= {"nodule", "3.5", "결절이", "흉수는", "lung에", "GGO", "size는", "🫁", "😀", "e\u0301", "Kim"}
    spans = house.rows("SELECT * FROM finding_spans ORDER BY report_id, label, word_index", Role.ANALYST)
    assert [(s.report_id, s.label, s.word_index, s.word_start, s.word_end, s.weight) for s in spans] == [
        (w.report_id, w.label, w.word_index, w.word_start, w.word_end, w.weight) for w in words
    ]


def test_findings_stand_in_omop_s_shape(house: HouseUnderTest, serve: Serve) -> None:
    version = serve()
    stored(house, TEXTS)
    label(house)
    rows = house.rows('SELECT *, "offset"::int AS start FROM note_nlp', Role.READER)
    texts = {row.report_id: row.text for row in house.rows("SELECT report_id, text FROM report_texts")}
    heaviest = {
        (row.report_id, row.label): row.word
        for row in house.rows("SELECT * FROM finding_words ORDER BY weight, word_index DESC")
    }
    assert len(rows) == house.value("SELECT count(*) FROM report_findings") > 0
    assert len({row.note_nlp_id for row in rows}) == len(rows)
    for row in rows:
        assert texts[row.note_id][row.start :].startswith(row.snippet)
        assert (row.nlp_system, row.term_exists) == (f"nightread model {version}", "Y")
        label_name = row.term_modifiers.removeprefix("label=").rpartition(",")[0]
        assert row.lexical_variant == heaviest.get((row.note_id, label_name))


def test_prevalence_counts_labelled_reports_by_day_of_the_study(
    house: HouseUnderTest, serve: Serve, dividing: float
) -> None:
    serve(threshold=dividing)
    studies = [MONDAY, MONDAY, TUESDAY, None]
    store(house, *(record(f"r{n}", TEXTS[n], study_at=study) for n, study in enumerate(studies)))
    label(house)
    rows = house.rows("SELECT * FROM daily_prevalence WHERE column_name = 'lung_nodule' ORDER BY day", Role.ANALYST)
    received = house.value("SELECT min(received_at)::date FROM report")
    assert [(row.day, row.reports) for row in rows] == [(MONDAY.date(), 2), (TUESDAY.date(), 1), (received, 1)]
    assert sum(row.positives for row in rows) == house.value("SELECT count(*) FROM report_labels WHERE lung_nodule")
    assert all(row.prevalence == row.positives / row.reports for row in rows)


def test_every_state_is_counted_once(house: HouseUnderTest, serve: Serve) -> None:
    serve()
    stored(house, TEXTS)
    label(house)
    store(house, record("r1", text=None, updated_at=TUESDAY), record("dead", "Poison."))
    while label(house, happens=poison, attempts=1):
        pass
    store(house, record("waits", "Waits."))
    store(house, record("gone", text=None, updated_at=TUESDAY))
    assert status(house) == {"received": 8, "labelled": 4, "pending": 1, "dead": 1, "withdrawn": 2}
    (row,) = house.rows("SELECT report_id, reason FROM dead_letters", Role.ANALYST)
    assert row.report_id == house.value("SELECT id FROM report WHERE source_id = 'dead'")
    assert row.reason == "text 1 of 1: the model's answer is not a number"


def poison() -> None:
    raise ReadingError("text 1 of 1: the model's answer is not a number")
