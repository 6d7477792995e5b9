"""Which annotations a model learns from and which judge it, when hospitals are told apart."""

from collections.abc import Collection
from itertools import count

import pytest

from pipeline.sites import Parts, UnusableSites, Where, to_calibrate, to_train, where
from pipeline.tables import Annotation, Split

NUMBERS = count()


def one(site: str, split: Split, text: str | None = None) -> Annotation:
    return Annotation(site=site, split=split, text_hash=text or f"text {next(NUMBERS)}")


def house() -> list[Annotation]:
    """Two hospitals with two of everything, in turn."""
    return [one(site, split) for _ in range(2) for split in Split for site in ("east", "west")]


def calibrate(
    given: list[Annotation],
    *,
    sites: Collection[str] = (),
    fitted: Collection[str] = ("east",),
    learnt_from: Collection[str] = ("east",),
    seen: Collection[str] = (),
) -> Parts:
    """A version that was fitted and calibrated in the east."""
    return to_calibrate(given, sites=sites, fitted=fitted, learnt_from=learnt_from, seen=seen)


def sites(rows: list[Annotation]) -> set[str]:
    return {row.site for row in rows}


@pytest.mark.parametrize(("inside", "outside"), [("east", "west"), ("west", "east")])
def test_an_external_site_reaches_neither_fit_nor_calibration(inside: str, outside: str) -> None:
    given = house()
    parts = to_train(given, sites=[inside])
    assert parts.learnt_from == (inside,)
    assert parts.fit == [row for row in given if (row.site, row.split) == (inside, Split.TRAIN)]
    assert parts.calibration == [row for row in given if (row.site, row.split) == (inside, Split.CALIBRATION)]
    assert outside not in sites(parts.fit + parts.calibration + parts.internal)
    assert (len(parts.fit), len(parts.calibration), len(parts.internal)) == (2, 2, 2)


def test_every_site_is_judged_apart_and_by_gate_reports_alone() -> None:
    parts = to_train(house(), sites=["east"])
    assert {site: (len(rows), sites(rows)) for site, rows in parts.gate.items()} == {
        "east": (2, {"east"}),
        "west": (2, {"west"}),
    }
    assert {row.split for rows in parts.gate.values() for row in rows} == {Split.GATE}


def test_without_a_choice_all_sites_are_learnt_from() -> None:
    parts = to_train(house())
    assert parts.learnt_from == ("east", "west")
    assert (len(parts.fit), len(parts.calibration), len(parts.internal)) == (4, 4, 4)


def test_a_site_that_is_only_judged_is_external_without_being_said_so() -> None:
    parts = to_train([*house(), one("south", Split.CALIBRATION), one("south", Split.GATE)])
    assert parts.learnt_from == ("east", "west")
    assert "south" not in sites(parts.calibration + parts.internal)
    assert len(parts.gate["south"]) == 1


def test_the_text_of_an_external_gate_report_must_not_have_been_learnt_from() -> None:
    given = [*house(), one("east", Split.TRAIN, "normal"), one("west", Split.GATE, "normal")]
    parts = to_train(given, sites=["east"])
    assert "normal" not in {row.text_hash for row in parts.gate["west"]}
    assert (len(parts.gate["west"]), parts.seen) == (2, 1)
    assert to_train(given, sites=["west"]).seen == 0, "and the other way round it judges"


def test_a_site_without_gate_reports_is_still_told_of() -> None:
    assert to_train([one("east", Split.TRAIN), one("west", Split.TRAIN)], sites=["east"]).gate == {
        "east": [],
        "west": [],
    }


@pytest.mark.parametrize(
    ("given", "named", "said"),
    [
        (house(), ["north"], "'north'; there are: east, west"),
        (house(), ["east", "north"], "'north'"),
        ([*house(), one("south", Split.GATE)], ["east", "south"], "'south' is in the split train"),
    ],
)
def test_sites_that_cannot_be_learnt_from_are_refused(given: list[Annotation], named: list[str], said: str) -> None:
    with pytest.raises(UnusableSites, match=said):
        to_train(given, sites=named)


def test_thresholds_are_set_where_the_version_was_fitted() -> None:
    parts = calibrate(house())
    assert sites(parts.calibration) == {"east"}
    assert (parts.learnt_from, parts.fit) == (("east",), [])


def test_thresholds_are_set_elsewhere_only_where_that_is_said_and_it_is_external_no_more() -> None:
    parts = calibrate(house(), sites=["west"])
    assert sites(parts.calibration) == {"west"}
    assert parts.learnt_from == ("east", "west")


def test_what_a_version_was_calibrated_on_before_stays_internal() -> None:
    parts = calibrate(house(), learnt_from={"east", "west"})
    assert sites(parts.calibration) == {"east"}
    assert parts.learnt_from == ("east", "west")


def test_a_version_of_unknown_origin_is_calibrated_on_all() -> None:
    assert sites(calibrate(house(), fitted=(), learnt_from=()).calibration) == {"east", "west"}


def test_what_a_version_has_seen_cannot_judge_its_thresholds() -> None:
    given = [*house(), one("west", Split.GATE, "normal")]
    assert calibrate(given).seen == 0
    assert calibrate(given, seen={"normal"}).seen == 1


@pytest.mark.parametrize(
    ("given", "chosen", "said"),
    [
        (house(), {"sites": ["north"]}, "there are: east, west"),
        ([one("west", Split.CALIBRATION)], {}, "name it with --site"),
        ([one("east", Split.GATE), one("west", Split.CALIBRATION)], {}, "no annotation of 'east' is in the split cal"),
    ],
)
def test_annotations_that_cannot_calibrate_are_refused(
    given: list[Annotation], chosen: dict[str, list[str]], said: str
) -> None:
    with pytest.raises(UnusableSites, match=said):
        calibrate(given, **chosen)


def test_nobody_is_called_external_by_a_model_that_nothing_is_known_of() -> None:
    assert where("east", learnt_from={"east"}) is Where.INTERNAL
    assert where("west", learnt_from={"east"}) is Where.EXTERNAL
    assert where("west", learnt_from=()) is None
