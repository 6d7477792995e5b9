"""Explanations for people: which one is meant, what a sample shows, how words are shaded, and the page itself."""

import os
import re
import stat
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from nightread.pages import files, numbers, page, shading, terminal
from nightread.pages.shading import LEVELS, Piece
from pipeline.explanations import (
    AmbiguousReport,
    Candidate,
    Explained,
    Explanation,
    Judged,
    Match,
    NoLongerShown,
    UnknownReport,
    choose,
    varied,
)

NOON = datetime(2024, 3, 4, 12, tzinfo=UTC)
SEOUL = ZoneInfo("Asia/Seoul")
EFFUSION = Judged("Pleural effusion", "흉수", 0.93, 0.41)


def found(
    *words: tuple[int, int, float], sentence: tuple[int, int], label: Judged = EFFUSION, residual: float = 0.0
) -> Explained:
    starts, ends, weights = zip(*words, strict=True) if words else ((), (), ())
    return Explained(label, *sentence, starts, ends, weights, residual)


def explained(text: str, *findings: Explained, **changes: object) -> Explanation:
    stated: dict[str, object] = {
        "report_id": 12,
        "version": 1,
        "site": "seoul",
        "source_id": "r12",
        "accession": "A-12",
        "study_at": NOON,
        "language": "mixed",
        "flagged": False,
        "model_version": 3,
        "foundation": "km-bert",
        "labelled_at": NOON,
        "stale": False,
        "absent": (Judged("Cardiomegaly", "심비대", 0.12, 0.5),),
    }
    return Explanation(text=text, findings=findings, **(stated | changes))  # type: ignore[arg-type]


def by_words(text: str, weights: Sequence[float] = ()) -> Explained:
    """A finding of the whole text, its words weighed in turn."""
    spans = [match.span() for match in re.finditer(r"\S+", text)]
    weighed = [(*span, weights[i] if i < len(weights) else 0.1) for i, span in enumerate(spans)]
    return found(*weighed, sentence=(0, len(text)))


# --- which report is meant


def match(report_id: int, *, site: str = "seoul", withdrawn: bool = False, newer: int | None = None) -> Match:
    return Match(report_id, site, "A-1", "r1", NOON if withdrawn else None, newer)


def test_one_report_is_chosen() -> None:
    assert choose([match(7)], asked="A-1") == 7


def test_an_accession_of_two_sites_names_the_choices() -> None:
    with pytest.raises(AmbiguousReport, match=r"'A-1' may mean id:7 \(seoul\), id:9 \(busan\)"):
        choose([match(7), match(9, site="busan")], asked="A-1")


def test_many_choices_are_cut() -> None:
    with pytest.raises(AmbiguousReport, match=r"id:10 \(seoul\) and more"):
        choose([match(number) for number in range(1, 12)], asked="A-1")


def test_the_standing_one_is_meant_where_the_other_is_gone() -> None:
    assert choose([match(7, withdrawn=True), match(9), match(5, newer=8)], asked="A-1") == 9


def test_what_is_gone_is_not_shown() -> None:
    with pytest.raises(NoLongerShown, match="withdrawn by its source on 2024-03-04"):
        choose([match(7, withdrawn=True)], asked="7")
    with pytest.raises(NoLongerShown, match="the current one is id:8"):
        choose([match(7, newer=8)], asked="7")
    with pytest.raises(UnknownReport, match="'7'"):
        choose([], asked="7")


# --- a varied sample


def test_a_sample_covers_languages_and_findings_before_it_repeats_any() -> None:
    common = [Candidate(number, "seoul", "en", (1,)) for number in range(50)]
    rare = [
        Candidate(100, "seoul", "ko", (1,)),
        Candidate(101, "busan", "en", (2,)),
        Candidate(102, "seoul", "en", (None,)),
    ]
    chosen = varied([*common, *rare], count=4)
    assert set(chosen) == {0, 100, 101, 102}


def test_a_report_of_many_findings_counts_for_all_of_them() -> None:
    every = Candidate(1, "seoul", "en", (1, 2, 3))
    other = Candidate(2, "seoul", "ko", (1,))
    assert set(varied([every, Candidate(3, "seoul", "en", (2,)), other], count=2)) == {1, 2}
    assert varied([every], count=5) == [1]
    assert varied([], count=5) == []


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["ko", "en"]), st.sets(st.integers(1, 4), min_size=1)))
)
@settings(max_examples=50, deadline=None)
def test_a_sample_holds_each_report_once_and_as_many_as_there_are(rows: list[tuple[str, str, set[int]]]) -> None:
    candidates = [Candidate(i, site, language, tuple(labels)) for i, (site, language, labels) in enumerate(rows)]
    chosen = varied(candidates, count=10)
    assert len(chosen) == len(set(chosen)) == min(10, len(candidates))
    shown = {
        (one.site, one.language, label) for one in candidates if one.report_id in chosen for label in one.label_ids
    }
    strata = {(one.site, one.language, label) for one in candidates for label in one.label_ids}
    assert shown == strata or len(shown) >= 10, "every choice shows a new stratum while there is one"


# --- shading


@pytest.mark.parametrize(
    ("weight", "largest", "expected"),
    [(2.0, 2.0, LEVELS), (-2.0, 2.0, -LEVELS), (0.19, 2.0, 0), (0.21, 2.0, 1), (-0.21, 2.0, -1), (0.0, 0.0, 0)],
)
def test_the_largest_weight_has_the_darkest_shade(weight: float, largest: float, expected: int) -> None:
    assert shading.level(weight, largest=largest) == expected


def test_words_keep_their_weights_and_what_lies_between() -> None:
    text = "No effusion."
    (passage,) = shading.shaded(text, found((0, 2, -2.0), (3, 11, 4.0), (11, 12, 0.1), sentence=(0, 12))).passages
    assert passage.pieces == (Piece("No", -2.0, -3), Piece(" "), Piece("effusion", 4.0, 5), Piece(".", 0.1, 0))
    assert passage.is_main


def test_other_sentences_that_were_weighed_come_after_the_one_that_says_it() -> None:
    text = "Small effusion. Heart normal.\nEffusion left."
    heatmap = shading.shaded(
        text,
        found((0, 5, 0.2), (6, 14, 0.9), (14, 15, 0.0), (30, 38, 2.0), (39, 43, 0.5), (43, 44, 0.0), sentence=(30, 44)),
    )
    assert [(passage.text, passage.is_main) for passage in heatmap.passages] == [
        ("Effusion left.", True),
        ("Small effusion.", False),
    ]
    assert (heatmap.largest, heatmap.total) == (2.0, pytest.approx(3.6))


def test_offsets_count_characters_however_they_are_made_of_code_points() -> None:
    decomposed = unicodedata.normalize("NFD", "흉수")
    text = f"🫁👩‍⚕️ {decomposed} e\u0301 있음"
    starts = [found_.span() for found_ in re.finditer(r"\S", text)]
    heatmap = shading.shaded(text, found(*((*span, 1.0) for span in starts), sentence=(0, len(text))))
    words = [piece.text for piece in heatmap.passages[0].pieces if piece.weight is not None]
    assert "👩‍⚕️" in words, "an emoji of four code points stays one sign, with the sum of its weights"
    assert "e\u0301" in words
    assert heatmap.passages[0].text == text
    joined = next(piece for piece in heatmap.passages[0].pieces if piece.text == "👩‍⚕️")
    assert joined.weight == 4.0


def test_overlapping_words_are_one() -> None:
    heatmap = shading.shaded("abcdef", found((0, 4, 1.0), (2, 6, 2.0), sentence=(0, 6)))
    assert heatmap.passages[0].pieces == (Piece("abcdef", 3.0, LEVELS),)


def test_the_strongest_words_are_named_by_side() -> None:
    for_it, against_it = shading.shaded("a b c d", by_words("a b c d", [1.0, -3.0, 2.0, 0.01])).strongest()
    assert [piece.text for piece in for_it] == ["c", "a"]
    assert [piece.text for piece in against_it] == ["b"]


def test_a_finding_without_words_shows_its_sentence() -> None:
    heatmap = shading.shaded("Effusion.", found(sentence=(0, 9)))
    assert [passage.text for passage in heatmap.passages] == ["Effusion."]
    assert shading.shaded("   ", found(sentence=(3, 3))).passages == ()


def test_sentences_are_cited_by_number() -> None:
    stretches = shading.cited("One. Two. Three.", [(5, 9), (5, 9), (10, 16)])
    assert [(one.text, one.cited, one.notes) for one in stretches] == [
        ("One. ", False, ()),
        ("Two.", True, (1, 2)),
        (" ", False, ()),
        ("Three.", True, (3,)),
    ]


spans = st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda pair: (min(pair), max(pair)))


@given(st.text(max_size=40), st.lists(spans, max_size=5), st.lists(st.tuples(spans, st.floats(-9, 9)), max_size=8))
@settings(max_examples=200, deadline=None)
def test_no_character_is_lost_or_doubled(
    text: str, sentences: list[tuple[int, int]], words: list[tuple[tuple[int, int], float]]
) -> None:
    assert "".join(one.text for one in shading.cited(text, sentences)) == text
    within = [(start, end, weight) for (start, end), weight in words if start < end <= len(text)]
    heatmap = shading.shaded(text, found(*within, sentence=(0, len(text))))
    assert "".join(passage.text for passage in heatmap.passages) == (text if text.strip() else "")


# --- numbers


@pytest.mark.parametrize(
    ("probability", "threshold", "said"),
    [
        (0.93, 0.41, "0.93, positive from 0.41"),
        (0.4102, 0.4100, "0.4102, positive from 0.4100"),
        (0.5, 0.5, "0.50, positive from 0.50"),
        (0.9999, 0.41, "> 0.99, positive from 0.41"),
    ],
)
def test_a_probability_is_said_with_its_threshold(probability: float, threshold: float, said: str) -> None:
    assert numbers.judged(probability, threshold) == said


def test_weights_have_a_sign() -> None:
    assert [numbers.weight(value) for value in (1.234, -0.5, 0.001, -0.001)] == ["+1.23", "−0.50", "0.00", "0.00"]


# --- the page


class Reading(HTMLParser):
    """Elements and attributes of a page, and the report's text without footnotes."""

    def __init__(self, made: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.report, self.all_text = "", ""
        self._within: list[str] = []
        self._in_report = False
        self.feed(made)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._in_report |= dict(attrs).get("id") == "report"
        if tag not in {"meta", "rect", "line"}:
            self._within.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._within and self._within[-1] == tag:
            self._within.pop()
        self._in_report &= tag != "section"

    def handle_data(self, data: str) -> None:
        self.all_text += data
        if self._in_report and "div" in self._within and "sup" not in self._within:
            self.report += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def rendered(explanation: Explanation, *, index: bool = False) -> str:
    return page.report(explanation, zone=SEOUL, made_at=NOON, nightread="1.2.3", index=index)


def test_the_page_says_what_was_found_how_surely_and_by_whom() -> None:
    text = "양측 흉수 있음. Heart size normal."
    finding = found((0, 2, 0.5), (3, 5, 2.5), (6, 8, -1.0), (8, 9, 0.0), sentence=(0, 9), residual=0.25)
    made = rendered(explained(text, finding))
    words = " ".join(Reading(made).all_text.split())
    for said in (
        "Report 12", "A-12", "seoul", "2024-03-04", "Korean and English", "1 of 2 findings stated",
        "Pleural effusion 흉수", "0.93, positive from 0.41", "“흉수” +2.50", "“있음” −1.00", "Cardiomegaly 심비대",
        "Logits: darkest shade 2.50, all words +2.00, the text itself +2.25, unexplained +0.25.",
        "version 3, from km-bert", "2024-03-04 21:00 (Asia/Seoul)", "by Nightread 1.2.3", "Sundararajan",
    ):  # fmt: skip
        assert said in words, said
    marks = {(one["class"], one["title"]) for one in Reading(made).named("mark") if "title" in one}
    assert {("for-5", "+2.50"), ("for-1", "+0.50"), ("against-2", "−1.00")} <= marks
    assert "newer" not in words
    assert "out of date" not in words


def test_a_stale_or_flagged_report_says_so() -> None:
    made = rendered(explained("Text.", stale=True, flagged=True))
    assert "A newer model serves by now; its labels for this report have not come." in made
    assert "the text below may be out of date" in made


def test_a_report_without_findings_has_a_page() -> None:
    words = " ".join(Reading(rendered(explained("Normal chest."))).all_text.split())
    assert "None of 1 findings stated" in words
    assert "No label reaches its threshold in this report." in words
    assert "Normal chest." in words


HOSTILE = (
    "<script>document.title='x'</script> </span></div> & &amp; \" ' <img src=http://203.0.113.1/x onerror=alert(1)>\n"
    "한글\u2028줄 \u2029 \u202eשלום مرحبا\u202c {{ 7*7 }} {% raw %} <!-- x \u0085\x0c 😀\tend"
)


def test_a_report_is_text_whatever_it_holds() -> None:
    made = rendered(explained(HOSTILE, by_words(HOSTILE, [5.0]), site="<b>site", accession="<i>A", foundation="<u>f"))
    read = Reading(made)
    assert read.report == HOSTILE
    assert not {"script", "img", "b>site", "i", "u"} & {tag for tag, _ in read.elements}
    for given_ in ("<b>site", "<i>A", "<u>f"):
        assert given_ in read.all_text


def test_the_page_stands_alone() -> None:
    read = Reading(rendered(explained(HOSTILE, by_words(HOSTILE)), index=True))
    assert {str(one["href"]).partition("#")[0] for one in read.named("a")} == {"", "index.html"}
    loading = {"src", "srcset", "data", "poster", "background", "xlink:href"}
    assert not [attributes for _, attributes in read.elements if loading & attributes.keys()]
    assert not {"link", "script", "iframe", "object", "img", "video", "base"} & {tag for tag, _ in read.elements}
    (policy,) = [one["content"] for one in read.named("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    style = re.search(r"<style>(.*?)</style>", rendered(explained("x")), re.DOTALL)
    assert style is not None
    assert not re.search(r"url\(|@import|@font-face", style[1])


def test_the_index_leads_to_every_page_and_holds_no_text() -> None:
    first = explained("Secret words.", by_words("Secret words."), report_id=5)
    second = explained("Other.", report_id=6, site="<b>busan")
    read = Reading(page.index([first, second], zone=SEOUL, made_at=NOON, nightread="1.2.3", seed=4))
    assert [one["href"] for one in read.named("a")] == ["report-5.html", "report-6.html"]
    words = " ".join(read.all_text.split())
    for said in ("2 reports", "seed 4", "<b>busan", "Pleural effusion 0.93", "none"):
        assert said in words
    assert "Secret" not in words


# --- on disk


def test_a_page_is_private_and_replaces_only_our_own(tmp_path: Path) -> None:
    file = tmp_path / "a.html"
    made = rendered(explained("Text."))
    old = os.umask(0)
    try:
        files.write(file, made)
        files.write(file, made)
    finally:
        os.umask(old)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text(encoding="utf-8") == made
    assert [one.name for one in tmp_path.iterdir()] == ["a.html"]


def test_other_files_are_not_written_over(tmp_path: Path) -> None:
    other = tmp_path / "thesis.html"
    other.write_text("<html>", encoding="utf-8")
    link = tmp_path / "link.html"
    link.symlink_to(other)
    for place in (other, link, tmp_path, Path("/dev/null")):
        with pytest.raises(files.NotWritten, match="is no page of Nightread's"):
            files.write(place, rendered(explained("Text.")))
    assert other.read_text(encoding="utf-8") == "<html>"
    with pytest.raises(files.NotWritten, match="make it first"):
        files.write(tmp_path / "missing" / "a.html", "x")


def test_a_sample_replaces_a_former_sample_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "pages"
    files.prepare(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files.write(folder / "report-1.html", rendered(explained("Text.")))
    files.prepare(folder)
    assert list(folder.iterdir()) == []
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(files.NotWritten, match=r"holds notes\.txt"):
        files.prepare(folder)
    assert (folder / "notes.txt").exists()


def test_what_the_system_refuses_is_said_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x", encoding="utf-8")
    with pytest.raises(files.NotWritten, match="cannot be used"):
        files.prepare(file / "below")


# --- on a terminal


def on_terminal(explanation: Explanation, *, colours: bool) -> str:
    console = Console(width=100, force_terminal=colours, color_system="truecolor" if colours else None, highlight=False)
    with console.capture() as capture:
        for line in terminal.lines(explanation, zone=SEOUL):
            console.print(line)
    return capture.get()


def test_the_terminal_says_what_the_page_says() -> None:
    text = "양측 흉수 [bold] 있음."
    said = on_terminal(explained(text, by_words(text, [0.5, 2.5, -1.0, 0.1]), stale=True), colours=False)
    for wanted in (
        "Report 12 · seoul · accession A-12 · study 2024-03-04 · Korean and English",
        "1  Pleural effusion / 흉수",
        "0.93, positive from 0.41",
        text,
        "for: 흉수 +2.50, 양측 +0.50",
        "against: [bold] −1.00",
        "A newer model serves",
        "Not found: 1 labels; the likeliest: Cardiomegaly 0.12.",
        "Model version 3 (km-bert), labelled 2024-03-04 21:00 (Asia/Seoul).",
    ):
        assert wanted in said, wanted


def test_the_terminal_shades_by_weight_and_not_by_colour_alone() -> None:
    said = on_terminal(explained("effusion no", by_words("effusion no", [2.0, -2.0])), colours=True)
    assert "\x1b[4;30;48;2;230;159;0meffusion" in said, "for: orange and underlined"
    assert "\x1b[3;30;48;2;86;180;233mno" in said, "against: blue and italic"


def test_a_report_gives_the_terminal_no_orders() -> None:
    text = "a\x1b]0;title\x07 \x1b[31mred \x9b31m b\r\nc\td"
    said = on_terminal(explained(text, by_words(text), site="s\x1b[2J"), colours=False)
    assert not {"\x1b", "\x07", "\x9b", "\r"} & set(said)
