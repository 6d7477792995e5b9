"""The conditions of the guard's patterns hold in every text that has the pattern: they never hide anything."""

import csv
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.identifying import addresses, births, e_mail, names, phones, resident_numbers
from pipeline.identifying.plain import plain
from pipeline.identifying.seen import Seen, Sought

EXAMPLES = Path(__file__).with_name("identifying_examples.csv")
SOUGHT = {
    f"{module.__name__.rpartition('.')[2]}.{name}": value
    for module in (addresses, births, e_mail, names, phones, resident_numbers)
    for name, value in vars(module).items()
    if isinstance(value, Sought)
}
# What the patterns take for a letter, a digit or a blank beside the usual ones, or what becomes one in plain form.
LOOKALIKES = str.maketrans({"i": "İ", "k": "\u212a", "s": "ſ", "-": "\u2011", " ": "\u3000", "0": "０", "M": "Ｍ"})


def hidden(sought: Sought, text: str) -> bool:
    """Whether the pattern is in a text that its conditions rule out."""
    seen = Seen.of(text)
    return sought.pattern.search(seen.text) is not None and not sought.possible_in(seen)


def test_every_detector_has_some() -> None:
    assert {name.partition(".")[0] for name in SOUGHT} == {
        "addresses", "births", "e_mail", "names", "phones", "resident_numbers",
    }  # fmt: skip


@pytest.mark.parametrize("name", SOUGHT)
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(data=st.data())
def test_what_a_pattern_matches_fulfils_its_conditions(name: str, data: st.DataObject) -> None:
    sought = SOUGHT[name]
    text = data.draw(st.from_regex(sought.pattern, fullmatch=False))
    for around in ("{}", "Lungs are clear. {} 이상 소견 없음."):
        for one in (text, text.upper(), text.translate(LOOKALIKES)):
            assert not hidden(sought, around.format(one)), repr(plain(one))


@pytest.mark.parametrize("name", SOUGHT)
def test_no_example_is_hidden(name: str) -> None:
    with EXAMPLES.open(encoding="utf-8", newline="") as stream:
        stream.readline()
        for row in csv.DictReader(stream):
            for text in (row["text"], row["text"].upper(), row["text"].translate(LOOKALIKES)):
                assert not hidden(SOUGHT[name], text), text


def test_a_condition_that_rules_too_much_out_is_noticed() -> None:
    digits = SOUGHT["phones._PHONE"]
    wrong = Sought(digits.pattern, lambda seen: "-" in seen.text)
    assert hidden(wrong, "010 1234 5678")
    assert not hidden(digits, "010 1234 5678")


def test_shape_and_small_letters() -> None:
    seen = Seen.of("CT 71260, İD：홍길동")
    assert (seen.shape[:8], seen.small, seen.hangul) == ("AA 00000", "ct 71260, id:홍길동", True)
    assert not Seen.of("Größe 3 cm").hangul
