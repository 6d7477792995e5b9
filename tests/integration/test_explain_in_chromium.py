"""The explain page where people look at it: opened in a headless Chromium, at a desk, on a phone and on paper."""

import html
import json
import os
import re
import shutil
import subprocess
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from nightread.pages import page
from pipeline.explanations import Explained, Explanation, Judged

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NOON = datetime(2024, 3, 4, 12, tzinfo=UTC)
DESK, PHONE, SMALL_PHONE = 1000, 390, 320

# English, Korean and both; markup, an unbroken number, signs of several code points, and writing from the right.
TEXT = (
    "Findings: Small bilateral pleural effusion, no pneumothorax.\r\n"
    "양측 폐에 결절이 보입니다. 흉수는 없음.\n"
    "Both lung에 GGO 있음 👩‍⚕️ <script>document.body.remove()</script><img src=http://203.0.113.1/x.png>\n"
    f"{'1234567890' * 20} שלום \u202eabc\u202c & &amp; end"
)
SENTENCES = (
    ("Pleural effusion", "흉수", "Small bilateral pleural effusion, no pneumothorax."),
    ("Lung nodule", "폐 결절", "양측 폐에 결절이 보입니다."),
    ("Coronary artery wall calcification", "관상동맥벽 석회화", "1234567890" * 20),
)


def finding(name: str, korean: str, sentence: str) -> Explained:
    start = TEXT.index(sentence)
    words = [(start + found.start(), start + found.end()) for found in re.finditer(r"\w+|\S", sentence)]
    weights = [(-1) ** place * (1 + place) for place in range(len(words))]
    starts, ends = zip(*words, strict=True)
    return Explained(
        Judged(name, korean, 0.93, 0.41), start, start + len(sentence), starts, ends, tuple(map(float, weights)), 0.1
    )


def explanation(*, labels: int = 15) -> Explanation:
    return Explanation(
        report_id=12,
        version=2,
        site="made-up-hospital",
        source_id="made-up-000012",
        accession="MADE-UP-000012",
        study_at=NOON,
        language="mixed",
        flagged=True,
        text=TEXT,
        model_version=3,
        foundation="a-foundation-with-a-rather-long-name/of-several-parts",
        labelled_at=NOON,
        stale=True,
        findings=tuple(finding(*one) for one in SENTENCES),
        absent=tuple(Judged(f"Label {number}", "이름", 0.1, 0.5) for number in range(labels)),
    )


def made(**changes: Any) -> str:
    return page.report(explanation(**changes), zone=ZoneInfo("Asia/Seoul"), made_at=NOON, nightread="1.2.3")


@pytest.fixture(scope="module")
def browser() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser to open the page in: none of {', '.join(BROWSERS)} is on PATH")
    return found


def opened(browser: str, file: Path, folder: Path, *asking: str) -> str:
    """Open a page in a browser of its own; what it says on stdout."""
    arguments = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
        f"--user-data-dir={folder / 'profile'}", *asking, file.as_uri(),
    ]  # fmt: skip
    # A home of its own too: whatever the browser keeps, it keeps there.
    environment = {**os.environ, "HOME": str(folder)}
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


# Reads the page in frames as wide as a desk's and a phone's screen; the page itself runs no script.
MEASURE = """
<!DOCTYPE html><meta charset="utf-8"><body>FRAMES<pre id="measured"></pre><script>
const read = (frame) => {
  const page = frame.contentDocument, view = frame.contentWindow;
  const report = page.querySelector("#report .text").cloneNode(true);
  report.querySelectorAll("sup").forEach((note) => note.remove());
  const size = (one) => { const box = one.getBoundingClientRect(); return [box.width, box.height]; };
  const style = (chosen) => {
    const found = view.getComputedStyle(page.querySelector(chosen));
    return [found.backgroundColor, found.textDecorationLine, found.textDecorationStyle];
  };
  return {
    width: page.documentElement.clientWidth,
    needed: page.documentElement.scrollWidth,
    report: report.textContent,
    notes: [...page.querySelectorAll("#report sup a")].map((one) => page.querySelector(one.getAttribute("href")).id),
    findings: [...page.querySelectorAll(".finding")].map((one) => one.querySelector(".words").textContent),
    words: [...page.querySelectorAll(".finding mark")].map(size),
    scales: [...page.querySelectorAll("svg")].map(size),
    strongest: {for: style(".finding .for-5"), against: style(".finding .against-5")},
    fetched: view.performance.getEntriesByType("resource").map((one) => one.name),
    elements: [...new Set([...page.querySelectorAll("*")].map((one) => one.localName))],
    unfolded: page.querySelector("details table").checkVisibility(),
  };
};
addEventListener("load", () => {
  document.getElementById("measured").textContent = JSON.stringify([...document.querySelectorAll("iframe")].map(read));
});
</script>
"""


@pytest.fixture(scope="module")
def measured(browser: str, tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    """What a browser makes of the page, by the width of the screen."""
    folder = tmp_path_factory.mktemp("measured")
    widths = (DESK, PHONE, SMALL_PHONE)
    frames = "".join(
        f'<iframe style="width:{width}px;height:900px;border:0" srcdoc="{html.escape(made())}"></iframe>'
        for width in widths
    )
    file = folder / "frames.html"
    file.write_text(MEASURE.replace("FRAMES", frames), encoding="utf-8")
    found = re.search(r'<pre id="measured">(.*?)</pre>', opened(browser, file, folder, "--dump-dom"), re.DOTALL)
    assert found is not None
    return dict(zip(widths, json.loads(html.unescape(found[1])), strict=True))


def test_the_browser_shows_every_finding_and_every_word(measured: dict[int, dict[str, Any]]) -> None:
    for seen in measured.values():
        assert seen["findings"] == [sentence for _, _, sentence in SENTENCES]
        assert len(seen["words"]) > 10
        assert all(width > 0 and height > 0 for width, height in seen["words"])
        assert [width > 100 and height > 5 for width, height in seen["scales"]] == [True] * len(SENTENCES)


def test_the_report_stands_there_as_it_was_written(measured: dict[int, dict[str, Any]]) -> None:
    seen = measured[DESK]
    assert seen["report"] == TEXT.replace("\r\n", "\n"), "HTML has one kind of line end"
    assert seen["notes"] == ["finding-1", "finding-2", "finding-3"]
    assert not {"script", "img"} & set(seen["elements"])


def test_nothing_runs_over_the_edge_of_a_phone(measured: dict[int, dict[str, Any]]) -> None:
    for width, seen in measured.items():
        assert seen["width"] == width
        assert seen["needed"] <= width


def test_for_and_against_differ_in_colour_and_in_line(measured: dict[int, dict[str, Any]]) -> None:
    assert measured[DESK]["strongest"] == {
        "for": ["rgb(230, 159, 0)", "underline", "solid"],
        "against": ["rgb(86, 180, 233)", "underline", "dotted"],
    }


def test_the_page_fetches_nothing(measured: dict[int, dict[str, Any]]) -> None:
    assert [seen["fetched"] for seen in measured.values()] == [[], [], []]


def test_a_screenshot_shows_more_than_an_empty_page(browser: str, tmp_path: Path) -> None:
    shades = {}
    for name, content in (("page", made()), ("empty", "<!DOCTYPE html><title>x</title>")):
        file, picture = tmp_path / f"{name}.html", tmp_path / f"{name}.png"
        file.write_text(content, encoding="utf-8")
        opened(browser, file, tmp_path / name, "--window-size=800,1000", f"--screenshot={picture}")
        shades[name] = len(set(pixels(picture.read_bytes())))
    assert shades["empty"] < 8, "one colour, and what PNG needs to say so"
    assert shades["page"] > 100


def test_what_is_folded_on_the_screen_lies_open_on_paper(
    browser: str, measured: dict[int, dict[str, Any]], tmp_path: Path
) -> None:
    assert not measured[DESK]["unfolded"]
    file, paper = tmp_path / "page.html", tmp_path / "page.pdf"
    # So many labels that were not found take several sheets, if they are printed.
    file.write_text(made(labels=300), encoding="utf-8")
    opened(browser, file, tmp_path, f"--print-to-pdf={paper}")
    sheets = len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes()))
    assert sheets > 4


def pixels(png: bytes) -> bytes:
    """The filtered pixel data of a PNG: of one colour throughout, its bytes are almost all the same."""
    data, place = b"", 8
    while place < len(png):
        length = int.from_bytes(png[place : place + 4], "big")
        if png[place + 4 : place + 8] == b"IDAT":
            data += png[place + 8 : place + 8 + length]
        place += length + 12
    return zlib.decompress(data)
