"""The made-up feed: deterministic, true to its labels, no bag of words, and every outcome of a night in it."""

import csv
import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from nightread.made_up import FINDINGS, MadeUpReport, Style, reports, write_annotations, write_fhir
from nightread.made_up.reports import TONGUES
from nightread.made_up.wording import Noun, Tongue, Wording
from pipeline.feeds.fhir_ndjson import FhirNdjson
from pipeline.feeds.record import Item, Record, Skipped, Unreadable, Wants
from pipeline.identifying import kinds
from pipeline.language import language

CHEST_CT = Wants(frozenset({"http://loinc.org|24627-2"}), frozenset({"CT"}))
REAL = Path(__file__).parents[3] / "shared" / "data" / "chest-ct-reports" / "reports.csv"


@pytest.fixture(scope="module")
def many() -> list[MadeUpReport]:
    return list(reports(2_000, seed=7))


def test_the_same_seed_gives_the_same_reports_in_every_process() -> None:
    code = "from nightread.made_up import reports; print([r.text for r in reports(5, seed=3)])"
    there = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert there.strip() == str([report.text for report in reports(5, seed=3)])


def test_a_report_is_independent_of_how_many_are_asked_for(many: list[MadeUpReport]) -> None:
    assert list(reports(3, seed=7, first=5)) == many[4:7]
    assert [report.text for report in reports(20, seed=8)] != [report.text for report in many[:20]]
    assert [r.text for r in reports(20, seed=7, site="another")] != [r.text for r in many[:20]]


def test_everything_says_that_it_is_made_up(many: list[MadeUpReport]) -> None:
    for report in many[:50]:
        for name in (report.source_id, report.accession.lower(), report.patient, report.site):
            assert name.startswith("made-up")
    assert len({report.source_id for report in many}) == len(many)
    assert 0.7 < len({report.patient for report in many}) / len(many) < 0.95


def test_prevalence_and_styles(many: list[MadeUpReport]) -> None:
    assert tuple(many[0].labels) == FINDINGS
    shares = {name: np.mean([report.labels[name] for report in many]) for name in FINDINGS}
    assert {name: share for name, share in shares.items() if not 0.05 <= share <= 0.36} == {}
    assert set(Counter(report.style for report in many)) == set(Style)
    assert any(not any(report.labels.values()) for report in many)
    one_style = reports(20, seed=1, styles={Style.KOREAN: 1})
    assert {report.style for report in one_style} == {Style.KOREAN}


def test_the_styles_are_the_languages_that_nightread_tells_apart(many: list[MadeUpReport]) -> None:
    expected = {Style.ENGLISH: "en", Style.KOREAN: "ko", Style.MIXED: "mixed"}
    right = [language(report.text) == expected[report.style] for report in many]
    assert np.mean(right) > 0.98


def test_times_go_on() -> None:
    for earlier, later in zip(reports(99, seed=1), reports(99, seed=1, first=2), strict=True):
        assert earlier.study_at < later.study_at
        assert timedelta(0) < later.issued_at - later.study_at < timedelta(days=1)


def test_texts_are_clean_and_of_a_report_s_length(many: list[MadeUpReport]) -> None:
    for report in many:
        assert kinds(report.text) == ()
        assert not re.search(r"[{}]|  | \.|\n\n\n| \n|^\s|\s$", report.text), report.text
        assert 40 < len(report.text.split()) < 400 or report.style is not Style.ENGLISH


def _pattern(template: str, tongue: Tongue, wording: Wording) -> str:
    """A regular expression for what a template can say, without the end that a contrast replaces."""
    slots = {name: "|".join(map(re.escape, choices)) for name, choices in tongue.slots.items()}
    slots["noun"] = "|".join(map(re.escape, wording.nouns))

    def one(match: re.Match[str]) -> str:
        name, particle = match[1], match[2]
        if name == "where":
            return _pattern(wording.where, tongue, wording)
        particles = f"(?:{particle}|{Noun.PARTICLES[particle]})" if particle else ""
        return f"(?:{slots[name[0].lower() + name[1:]]}){particles}"

    for ending, kept in (("관찰됨.", "관찰"), ("보임.", "보"), ("있음.", "있"), (".", "")):
        if template.endswith(ending):
            template = template.removesuffix(ending) + kept
            break
    pieces = re.split(r"(\{\w+(?::\w)?\})", template)
    filled = "".join(re.sub(r"\{(\w+)(?::(\w))?\}", one, p) if p[:1] == "{" else re.escape(p) for p in pieces)
    return re.sub(r"(?:\\ )+", r" ?", filled)


def _affirms(style: Style, name: str) -> re.Pattern[str]:
    tongue = TONGUES[style]
    wording = tongue.findings[name]
    templates = [*wording.present]
    templates += tongue.suspected if wording.doubtful else ()
    templates += tongue.stable if wording.lasting else ()
    own = "|".join(_pattern(template, tongue, wording) for template in templates)
    return re.compile(rf"(?:^|[.:)]\s|\n|- |\. )(?:{own})", re.IGNORECASE)


def test_a_report_affirms_exactly_its_positive_findings(many: list[MadeUpReport]) -> None:
    affirmations = {(style, name): _affirms(style, name) for style in Style for name in FINDINGS}
    wrong = [
        (report.number, name)
        for report in many[:600]
        for name in FINDINGS
        if bool(affirmations[report.style, name].search(report.text)) != bool(report.labels[name])
    ]
    assert wrong == []


def test_each_finding_is_denied_by_name_at_least_as_often_as_it_is_affirmed(many: list[MadeUpReport]) -> None:
    for style in Style:
        for name, wording in TONGUES[style].findings.items():
            nouns = re.compile("|".join(map(re.escape, wording.nouns)), re.IGNORECASE)
            here = [report for report in many if report.style is style]
            named = [report.labels[name] for report in here if nouns.search(report.text)]
            if wording.listed:
                assert np.mean(named) < 0.6, (style, name)


def test_particles() -> None:
    assert [f"{Noun(word):은}" for word in ("흉수", "폐기종", "GGO", "nodule", "LN", "pleural effusion")] == [
        "흉수는", "폐기종은", "GGO는", "nodule은", "LN은", "pleural effusion은",
    ]  # fmt: skip
    assert f"{Noun('폐결절'):이}/{Noun('무기폐'):을}/{Noun('흉수')}" == "폐결절이/무기폐를/흉수"


def test_all_tongues_know_all_findings() -> None:
    for tongue in TONGUES.values():
        assert tuple(tongue.findings) == FINDINGS


def test_a_bag_of_words_does_not_solve_it() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score

    made_up = list(reports(1_200, seed=11))
    labels = np.array([[report.labels[name] for name in FINDINGS] for report in made_up])
    words = TfidfVectorizer(min_df=2, sublinear_tf=True)
    fitted = words.fit_transform([report.text for report in made_up[:800]])
    held_out = words.transform([report.text for report in made_up[800:]])
    scores = []
    for column in range(len(FINDINGS)):
        model = LogisticRegression(C=10, class_weight="balanced", max_iter=500)
        model.fit(fitted, labels[:800, column])
        scores.append(f1_score(labels[800:, column], model.predict(held_out)))
    assert np.mean(scores) < 0.85


def test_it_is_fast() -> None:
    best = float("inf")
    for seed in range(3):
        started = time.process_time()
        assert sum(1 for _ in reports(1_000, seed=seed)) == 1_000
        best = min(best, time.process_time() - started)
    assert best < 2  # a thousand; leaves room for a busy machine


def _read(folder: Path, cursor: dict[str, object] | None = None) -> tuple[list[Item], dict[str, object]]:
    reader = FhirNdjson(folder, cursor or {}, wants=CHEST_CT, max_text_bytes=1_000_000)
    return list(reader), reader.cursor()


def test_the_feed_is_read_back_as_it_was_made(tmp_path: Path, many: list[MadeUpReport]) -> None:
    written = write_fhir(iter(many[:25]), tmp_path, per_file=10)
    assert [path.name for path in written.files] == [f"DiagnosticReport.00{n}.ndjson" for n in range(3)]
    items, _ = _read(tmp_path)
    assert len(items) == written.reports == 25
    for item, report in zip(items, many, strict=False):
        assert isinstance(item, Record)
        assert (item.source_id, item.text, item.accession) == (report.source_id, report.text, report.accession)
        assert (item.patient, item.code, item.modality) == (f"Patient/{report.patient}", "24627-2", "CT")
        assert (item.study_at, item.issued_at) == (report.study_at, report.issued_at)
        assert item.updated_at == report.updated_at


def test_the_folder_and_every_resource_say_that_they_are_made_up(tmp_path: Path) -> None:
    written = write_fhir(reports(5, seed=1), tmp_path, every_outcome=True)
    assert "made up" in (tmp_path / "README.md").read_text(encoding="utf-8")
    for path in written.files[:-1]:
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line.endswith('[{"conte'):
                assert json.loads(line)["meta"]["tag"][0]["code"] == "HTEST"


def test_every_outcome_of_a_night(tmp_path: Path) -> None:
    written = write_fhir(reports(10, seed=1), tmp_path, every_outcome=True)
    items, _ = _read(tmp_path)
    plain = [item for item in items if isinstance(item, Record) and not item.withdrawn]
    identifying = [item for item in plain if kinds(item.text or "")]
    seen = Counter(item.source_id for item in plain)
    assert written.reports == len(seen) - len(identifying) == 10
    assert written.amended == sum(count > 1 for count in seen.values()) == 1
    withdrawn = {item.source_id for item in items if isinstance(item, Record) and item.withdrawn}
    assert written.withdrawn == len(withdrawn) == 2
    assert withdrawn < set(seen)
    assert written.skipped == sum(isinstance(item, Skipped) for item in items)
    assert written.quarantined == sum(isinstance(item, Unreadable) for item in items) + len(identifying)
    assert {item.reason for item in items if isinstance(item, Unreadable)} == {"attachment-by-url", "broken-json"}


def test_every_outcome_needs_three_reports(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="three reports"):
        write_fhir(reports(2, seed=1), tmp_path, every_outcome=True)


def test_writing_again_changes_nothing_that_a_feed_would_read_again(tmp_path: Path) -> None:
    def write() -> Iterator[tuple[Path, int]]:
        for path in write_fhir(reports(10, seed=1), tmp_path, every_outcome=True).files:
            yield path, path.stat().st_mtime_ns

    first = list(write())
    _, cursor = _read(tmp_path)
    assert list(write()) == first
    assert _read(tmp_path, cursor)[0] == []
    assert not list(tmp_path.rglob("*.part"))


def test_annotations_have_the_real_ones_columns_and_the_site(tmp_path: Path, many: list[MadeUpReport]) -> None:
    path = tmp_path / "annotations.csv"
    assert write_annotations(iter(many[:50]), path) == 50
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["AccessionNo", "report_text", *FINDINGS, "site"]
    for row, report in zip(rows, many, strict=False):
        assert row["report_text"] == report.text
        assert {name: int(row[name]) for name in FINDINGS} == report.labels
        assert row["site"] == "made-up-hospital"


@pytest.mark.skipif(not REAL.is_file(), reason="../shared/data is not here")
def test_the_findings_are_the_real_columns() -> None:
    with REAL.open(encoding="utf-8", newline="") as file:
        header = next(csv.reader(file))
    assert tuple(header[2:]) == FINDINGS
