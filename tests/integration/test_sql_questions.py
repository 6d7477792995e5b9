"""The data team's questions, as `docs/sql.md` has them, on a house where the answer to each is known."""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sql_questions
from given import record, store
from sql_questions import About, UnreadableQuestion
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session
from under_test import HouseUnderTest

from pipeline import annotations, findings, label_sets, labelling, model_versions
from pipeline.annotation_files import Annotated, text_hash
from pipeline.findings import Found, Labelled
from pipeline.model_versions import NewVersion
from pipeline.names import Role
from pipeline.tables import Split

PAGE = sql_questions.PAGE.read_text(encoding="utf-8")
QUESTIONS = {question.number: question for question in sql_questions.read(PAGE)}
COLUMNS = [column for _, column, _ in label_sets.CT_RATE_FINDINGS]
EFFUSION, CARDIOMEGALY, NODULE, HERNIA = "Pleural effusion", "Cardiomegaly", "Lung nodule", "Hiatal hernia"

# The day that the page asks for, at ten in the morning, when the studies were made, and the night before it.
DAY = datetime(2026, 3, 4, 10, tzinfo=UTC)
NIGHT = datetime(2026, 3, 4, 3, tzinfo=UTC)
Said = Mapping[str, float]

# What the serving model says of each report: probabilities of what is not near nothing.
SAID: dict[str, Said] = {
    "r1": {EFFUSION: 0.9, CARDIOMEGALY: 0.9},
    "r2": {EFFUSION: 0.55},
    "r3": {NODULE: 0.46},
    "r4": {NODULE: 0.9},
    "r5": {EFFUSION: 0.9, CARDIOMEGALY: 0.9},
    "r6": {HERNIA: 0.9},
    "r7": {EFFUSION: 0.9},
    "r9": {},
    "r10": {NODULE: 0.9},
}
STUDIES: dict[str, datetime | None] = {
    "r1": DAY,
    "r2": DAY + timedelta(hours=1),
    "r3": DAY,
    "r4": DAY,
    "r5": DAY - timedelta(days=3),
    "r6": DAY - timedelta(days=12),
    "r7": None,  # its day is that of its arrival
    "r8": DAY,  # withdrawn
    "r9": DAY - timedelta(days=20),  # amended: the effusion is gone
    "r10": DAY - timedelta(days=20),  # amended: still the same
    "r11": DAY,  # not read by any model yet
}
BUSAN = {"r4", "r7"}


@pytest.fixture
def asked(house: HouseUnderTest) -> HouseUnderTest:
    """Three models, the last of which serves, and their labels; two hospitals, amendments, annotators."""
    before = [one for one in STUDIES if one != "r11"]
    _arrive(house, before)
    former: dict[str, Said] = {one: {} for one in before} | {"r9": {EFFUSION: 0.9}, "r10": {NODULE: 0.8}}
    for said in ({"r1": {CARDIOMEGALY: 0.7}}, {"r1": {EFFUSION: 0.8, CARDIOMEGALY: 0.2}, "r8": {EFFUSION: 0.9}}):
        _promote(house)
        _say(house, former | said)
    store(house, record("r8", None, updated_at=DAY + timedelta(days=1)))
    _arrive(house, ["r9", "r10", "r11"], amended=True)
    _promote(house, fitted_on=_annotate(house))
    _say(house, SAID)
    with house.sessions.begin() as session:
        arrived = text("UPDATE report SET received_at = coalesce(study_at + interval '15 hours', :day)")
        session.execute(arrived, {"day": DAY})
        session.execute(text("UPDATE report SET received_at = :night WHERE version = 2"), {"night": NIGHT})
        _pull(session, NIGHT, ["r1", "r2", "r3", "r11"])
        _pull(session, NIGHT - timedelta(days=1), ["r5"])
    return house


def _arrive(house: HouseUnderTest, source_ids: Sequence[str], *, amended: bool = False) -> None:
    said = "Pleural effusion. Cardiomegaly, amended." if amended else "Pleural effusion. Cardiomegaly."
    later = DAY + timedelta(days=1) if amended else DAY
    for feed, site, there in (("main", "seoul", set(STUDIES) - BUSAN), ("south", "busan", BUSAN)):
        records = [record(one, said, study_at=STUDIES[one], updated_at=later) for one in source_ids if one in there]
        store(house, *records, feed=feed, site=site)


def _promote(house: HouseUnderTest, fitted_on: Sequence[int] = ()) -> None:
    with house.sessions.begin() as session:
        version = model_versions.register(
            session,
            NewVersion(
                foundation="none", artifact="none", artifact_sha256="none",
                label_set_id=label_sets.register_default(session), thresholds=[0.5] * len(COLUMNS),
                metrics={}, settings={}, fitted_on=[*fitted_on],
            ),
        )  # fmt: skip
        model_versions.promote(session, version, by="test@here", rules=house.house.rules)


def _say(house: HouseUnderTest, said: Mapping[str, Said]) -> None:
    """Let the serving model say so of the current versions of these reports, two words behind each finding."""
    with house.sessions.begin() as session:
        model = labelling.serving(session)
        assert model is not None
        labels = dict(zip(model.labels, model.label_ids, strict=True))
        current = session.execute(text("SELECT source_id, id FROM report WHERE is_current"))
        ids = {row.source_id: row.id for row in current}
        findings.save(
            session,
            [
                Labelled(
                    ids[one],
                    tuple(stated.get(label, 0.01) for label in model.labels),
                    tuple(
                        Found(labels[label], probability, 0, 17, (0, 8), (7, 16), (0.25, 0.75), 0.01)
                        for label, probability in stated.items()
                        if probability >= 0.5
                    ),
                )
                for one, stated in said.items()
            ],
            model=model,
        )


def _annotate(house: HouseUnderTest) -> list[int]:
    """Kim reads r1, r2 and r3, the last one to be learnt from; Lee reads r1, and r9 before it was amended."""

    def read(annotator: str, source_id: str, of: str, *labels: str) -> Annotated:
        names = [name for name, _, _ in label_sets.CT_RATE_FINDINGS]
        stated = tuple(int(name in labels) for name in names)
        return Annotated(source_id, "seoul", of, text_hash(of), stated, Split.GATE, annotator)

    rows = [
        read("Kim", "r1", "text of r1", EFFUSION, CARDIOMEGALY),
        read("Lee", "r1", "text of r1", CARDIOMEGALY),
        read("Kim", "A-r2", "text of r2"),  # under its accession number
        read("Kim", "r3", "text of r3", NODULE),
        read("Lee", "r9", "text of r9", EFFUSION),
    ]
    with house.sessions.begin() as session:
        label_set = label_sets.register_default(session)
        kept = annotations.keep(session, rows, label_set_id=label_set)
        session.execute(text("UPDATE annotation SET imported_at = :before"), {"before": NIGHT - timedelta(days=1)})
        return [one.id for one in kept.annotations if one.source_id == "r3"]


def _pull(session: Session, at: datetime, source_ids: Sequence[str]) -> None:
    job = session.execute(
        text(
            "INSERT INTO job (kind, key, feed, priority, state, max_attempts, outcome, created_at, claimed_at, "
            "finished_at) VALUES ('pull', 'pull:main', 'main', 0, 'done', 3, "
            """jsonb_build_object('new', CAST(:new AS int), 'quarantined', 2), :at, :at, :at) RETURNING id"""
        ),
        {"new": len(source_ids), "at": at},
    ).scalar_one()
    given = {"job": job, "ids": [*source_ids]}
    session.execute(text("UPDATE report SET job_id = :job WHERE is_current AND source_id = ANY(:ids)"), given)


def answer(house: HouseUnderTest, number: int, *, day: str = "2026-03-04", report: str = "r1") -> list[Any]:
    """The rows of a question, asked under the role that it names."""
    question = QUESTIONS[number]
    report_id = house.value("SELECT id FROM report WHERE is_current AND source_id = :one", one=report)
    return house.rows(question.of(day=day, finding="pleural_effusion", report_id=report_id), question.role)


# --- the answers


def test_prevalence_by_day_and_site(asked: HouseUnderTest) -> None:
    rows = answer(asked, 1)
    assert len(rows) == 2 * len(COLUMNS)
    counted = {(row.site, row.label): (row.reports, row.positives, row.prevalence) for row in rows if row.positives}
    assert counted == {
        ("seoul", EFFUSION): (3, 2, Decimal("0.667")),
        ("seoul", CARDIOMEGALY): (3, 1, Decimal("0.333")),
        ("busan", EFFUSION): (2, 1, Decimal("0.500")),
        ("busan", NODULE): (2, 1, Decimal("0.500")),
    }
    assert answer(asked, 1, day="2026-03-03") == []


def test_days_add_up_to_all_reports(asked: HouseUnderTest) -> None:
    by_day = asked.rows("SELECT sum(reports), sum(positives) FROM daily_prevalence", Role.ANALYST)
    assert by_day == asked.rows(
        "SELECT count(*), count(*) FILTER (WHERE positive) FROM label_probabilities", Role.ANALYST
    )
    days = {row.day.isoformat() for row in asked.rows("SELECT day FROM daily_prevalence", Role.ANALYST)}
    assert days == {"2026-03-04", "2026-03-01", "2026-02-20", "2026-02-12"}


def test_a_study_with_a_wrong_date_has_its_day_too(asked: HouseUnderTest) -> None:
    with asked.sessions.begin() as session:
        session.execute(text("UPDATE report SET study_at = '9999-12-31 23:00+00' WHERE source_id = 'r5'"))
        session.execute(text("UPDATE report SET study_at = '0001-01-01 10:00+00' WHERE source_id = 'r6'"))
    days = {row.day for row in asked.rows("SELECT day::text FROM daily_prevalence", Role.ANALYST)}
    assert days == {"0001-01-01", "2026-02-12", "2026-03-04", "9999-12-31"}


def test_all_reports_with_a_finding(asked: HouseUnderTest) -> None:
    rows = answer(asked, 2)
    assert [(row.accession, row.probability, row.stale) for row in rows] == [
        ("A-r2", pytest.approx(0.55), False),
        ("A-r1", pytest.approx(0.9), False),
        ("A-r5", pytest.approx(0.9), False),
    ]


def test_co_occurrence(asked: HouseUnderTest) -> None:
    # Five dated, labelled reports in March: three with an effusion, two with a large heart, both of them with both.
    assert [tuple(row) for row in answer(asked, 3)] == [(CARDIOMEGALY, EFFUSION, 2, Decimal("1.67"))]


def test_uncertain_labels(asked: HouseUnderTest) -> None:
    rows = answer(asked, 4)
    assert [(row.accession, row.label, row.positive) for row in rows] == [
        ("A-r3", NODULE, False),
        ("A-r2", EFFUSION, True),
    ]


def test_amended_reports_whose_labels_changed(asked: HouseUnderTest) -> None:
    (row,) = answer(asked, 5)
    assert (row.site, row.source_id, row.label, row.former_positive, row.positive) == (
        "seoul", "r9", EFFUSION, True, False,
    )  # fmt: skip
    assert (row.former_model_version, row.model_version) == (2, 3)
    assert asked.value("SELECT version FROM report WHERE id = :id", id=row.former_report_id) == 1
    both = asked.rows("SELECT DISTINCT source_id FROM amended_labels ORDER BY 1", Role.ANALYST)
    assert [source_id for (source_id,) in both] == ["r10", "r9"], "what did not change is there as well"
    assert answer(asked, 5, day="2026-03-05") == []


def test_the_words_behind_a_finding(asked: HouseUnderTest) -> None:
    assert [tuple(row) for row in answer(asked, 6)] == [
        ("effusion", Decimal("0.750"), 8),
        ("Pleural", Decimal("0.250"), 0),
    ]


def test_what_the_previous_model_said(asked: HouseUnderTest) -> None:
    rows = answer(asked, 7)
    assert len(rows) == 2 * len(COLUMNS)
    assert [(row.model_version, row.serves, row.positive) for row in rows if row.label == CARDIOMEGALY] == [
        (3, True, True),
        (2, False, False),
    ]


def test_completeness_of_last_night(asked: HouseUnderTest) -> None:
    (row,) = answer(asked, 8)
    assert (row.feed, row.state, row.received, row.labelled, row.pending, row.failed) == ("main", "done", 4, 3, 1, 0)
    assert (row.withdrawn, row.quarantined, row.skipped) == (0, 2, 0)
    (before,) = answer(asked, 8, day="2026-03-03")
    assert (before.received, before.labelled) == (1, 1)


def test_agreement_with_annotators(asked: HouseUnderTest) -> None:
    rows = {(row.annotator, row.label): tuple(row)[2:] for row in answer(asked, 9)}
    assert len(rows) == 2 * len(COLUMNS)
    assert rows["Kim", EFFUSION] == (2, 1, 2, Decimal("0.500"))
    assert rows["Kim", CARDIOMEGALY] == (2, 1, 1, Decimal("1.000"))
    assert rows["Kim", NODULE] == (2, 0, 0, Decimal("1.000")), "r3 was learnt from"
    assert rows["Lee", EFFUSION] == (1, 0, 1, Decimal("0.000")), "r9 was amended after Lee had read it"
    (consensus,) = asked.rows(
        "SELECT DISTINCT consensus FROM annotated_labels l JOIN report_labels r USING (report_id) "
        "WHERE r.source_id = 'r1' AND l.column_name = 'cardiomegaly'",
        Role.ANALYST,
    )
    assert consensus == (True,)


def test_findings_that_never_occurred_this_month(asked: HouseUnderTest) -> None:
    march = {row.label for row in answer(asked, 10)}
    assert len(march) == len(COLUMNS) - 3
    assert {EFFUSION, CARDIOMEGALY, NODULE}.isdisjoint(march)
    february = {row.label for row in answer(asked, 10, day="2026-02-28")}
    assert len(february) == len(COLUMNS) - 2
    assert {HERNIA, NODULE}.isdisjoint(february)


# --- the page


def test_the_page_has_the_ten_questions() -> None:
    assert [*QUESTIONS] == [*range(1, 11)]


def test_every_query_runs_as_it_stands_and_under_no_lesser_role(house: HouseUnderTest) -> None:
    for question in QUESTIONS.values():
        house.rows(question.query, question.role)
        if question.role is Role.READER:
            with pytest.raises(ProgrammingError, match="permission denied for view finding_words"):
                house.rows(question.query, Role.ANALYST)
    assert [one.number for one in QUESTIONS.values() if one.role is Role.READER] == [6]


@pytest.mark.parametrize("number", [1, 6])
def test_the_command_that_the_page_names(number: int, asked: HouseUnderTest) -> None:
    question = QUESTIONS[number]
    report_id = asked.value("SELECT id FROM report WHERE source_id = 'r1'")
    query = question.of(day="2026-03-04", finding="pleural_effusion", report_id=report_id)
    done = asked.command("sql", "--role", question.role.removeprefix("nightread_"), query, "--csv")
    assert done.returncode == 0, done.stderr
    assert len([*csv.DictReader(io.StringIO(done.stdout))]) == len(answer(asked, number))


def test_every_question_is_about_what_its_query_names() -> None:
    """Whoever claims to ask about one thing has that thing in the query; else it would not be one."""
    named = {About.DAY: sql_questions.DAY, About.FINDING: sql_questions.FINDING, About.REPORT: sql_questions.REPORT}
    for question in QUESTIONS.values():
        assert named.get(question.about, "") in question.query, question.title


@pytest.mark.parametrize(
    "missing", ["```sql", "Role: `nightread_analyst`", "nightread sql --role analyst", "About: one day"]
)
def test_a_question_that_lacks_something_is_refused(missing: str) -> None:
    section = PAGE[PAGE.index("## 1.") : PAGE.index("## 2.")]
    with pytest.raises(UnreadableQuestion, match=r"question 1 \(Prevalence by day and site\)"):
        sql_questions.read(section.replace(missing, ""))


def test_a_role_that_is_not_the_command_s_is_refused() -> None:
    with pytest.raises(UnreadableQuestion, match="nightread_reader"):
        sql_questions.read(PAGE.replace("Role: `nightread_analyst`", "Role: `nightread_reader`", 1))
