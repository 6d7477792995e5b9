"""The guard on identifying_examples.csv, made up by hand: `benchmarks/guard.py` gives the figures."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from nightread.made_up.reports import Style, reports
from pipeline.identifying import Identifier, kinds

EXAMPLES = Path(__file__).with_name("identifying_examples.csv")

# What the guard misses, and what a pattern for it would cost.
MISSES = {
    "Name) 비 (정지훈), M/42",  # one syllable is a word
    "b. 12 June 1945",  # also the second item of a list
    "RE: Doe, Jane A.  DOB withheld",  # "RE: Lungs, Pleura"
    # of the held-out part, for which nothing is changed
    "Patient: KIM, SUJIN  Age: 47",
    "환자는 1942년 3월 11일 출생으로",
}


def examples() -> list[dict[str, str]]:
    with EXAMPLES.open(encoding="utf-8", newline="") as stream:
        assert stream.readline().startswith("# Made up")
        return list(csv.DictReader(stream))


def own(example: dict[str, str]) -> list[str]:
    return [example["record_numbers"]] if example["record_numbers"] else []


@pytest.mark.parametrize("example", examples(), ids=lambda example: f"{example['part']}-{example['text'][:20]}")
def test_exactly_the_kinds_that_are_there(example: dict[str, str]) -> None:
    found = " ".join(kinds(example["text"], record_numbers=own(example)))
    assert found == ("" if example["text"] in MISSES else example["kinds"])


def test_there_are_enough_examples() -> None:
    positives = Counter(kind for example in examples() for kind in example["kinds"].split())
    assert set(positives) == set(Identifier)
    assert min(positives.values()) >= 25
    assert sum(bool(example["kinds"]) for example in examples()) >= 300
    assert sum(not example["kinds"] for example in examples()) >= 150
    assert {example["language"] for example in examples()} == {"ko", "en", "mixed"}
    assert {example["text"] for example in examples()} >= MISSES


def test_examples_are_found_within_a_report() -> None:
    """What is found alone is found on a line of its own in a report, and the report adds nothing."""
    report = next(reports(1, seed=1, styles={Style.MIXED: 1.0})).text
    for example in examples():
        if example["text"] in MISSES:
            continue
        found = kinds(f"{report}\n{example['text']}", record_numbers=own(example))
        assert " ".join(found) == example["kinds"], example["text"]


@pytest.mark.parametrize("style", Style)
def test_no_false_alarm_on_the_made_up_feed(style: Style) -> None:
    feed = reports(150, seed=1, styles={style: 1.0})
    assert [report.source_id for report in feed if kinds(report.text)] == []
