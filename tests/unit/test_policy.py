"""When a refresh is due, and who may be promoted: right, and the wrong way round too."""

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import comparison
from pipeline import policy
from pipeline.names import Language, Metric, Signal
from pipeline.policy import (
    Churn,
    FiguresContradict,
    GateOutcome,
    PairsComparison,
    SignalReading,
    SiteComparison,
    StratumComparison,
    Verdict,
)
from pipeline.settings import GateSettings
from pipeline.tables import RefreshState

NOW = datetime(2026, 11, 23, 5, 30, tzinfo=UTC)
FIGURES = st.floats(0, 1)

# --- due


def reading(signal: Signal = Signal.BITS_PER_BYTE, drift: float | None = 0.31, **changes: Any) -> SignalReading:
    stated: dict[str, Any] = {"site": "east", "value": 2.31, "reference": 2.0, "threshold": 0.2, "reports": 120}
    return SignalReading(signal=signal, drift=drift, **(stated | changes))


def due(**changes: Any) -> str | None:
    """Quiet: few new reports, nothing drifted, no refresh before."""
    quiet: dict[str, Any] = {
        "now": NOW,
        "last_finished_at": None,
        "least_days": 7,
        "new_reports": 10,
        "most_new_reports": 10_000,
        "signals": [],
        "can_train": True,
    }
    return policy.due(**(quiet | changes))


def test_while_nothing_happens_nothing_is_due() -> None:
    assert due() is None
    assert due(signals=[reading(drift=0.1), reading(drift=None)]) is None


def test_many_new_reports_make_one_due() -> None:
    assert due(new_reports=12_345) == "12,345 new reports since the last refresh (10,000 make one due)"
    assert due(new_reports=10_000) is not None
    assert due(new_reports=9_999) is None


def test_where_volume_is_unset_no_number_is_enough() -> None:
    assert due(new_reports=10**9, most_new_reports=None) is None


def test_drift_makes_one_due() -> None:
    assert due(signals=[reading()]) == "bits-per-byte at east drifted by 0.31 (0.2 make one due)"


def test_a_shifted_finding_is_named() -> None:
    shifted = reading(Signal.PREVALENCE, drift=0.6, threshold=0.25, label="Emphysema", label_id=4)
    assert due(signals=[shifted]) == "prevalence of Emphysema at east drifted by 0.6 (0.25 make one due)"


def test_exactly_the_threshold_is_not_beyond_it() -> None:
    assert due(signals=[reading(drift=0.2)]) is None
    assert due(signals=[reading(drift=0.2000001)]) is not None


def test_a_signal_without_a_threshold_never_makes_one_due() -> None:
    assert due(signals=[reading(drift=99.0, threshold=None)]) is None


def test_a_fall_is_no_drift() -> None:
    assert due(signals=[reading(drift=-5.0)]) is None


def test_of_several_the_one_farthest_beyond_its_threshold_is_the_reason() -> None:
    near, far = reading(drift=0.5), reading(Signal.UNKNOWN_PIECES, drift=0.04, threshold=0.01, site="west")
    for signals in ([near, far], [far, near]):
        assert due(signals=signals) == "unknown-pieces at west drifted by 0.04 (0.01 make one due)"


@pytest.mark.parametrize("trigger", [{"new_reports": 50_000}, {"signals": [reading()]}])
def test_not_so_soon_after_the_last(trigger: dict[str, Any]) -> None:
    assert due(**trigger, last_finished_at=NOW - timedelta(days=6.9)) is None
    assert due(**trigger, last_finished_at=NOW - timedelta(days=7)) is not None
    assert due(**trigger, last_finished_at=NOW - timedelta(days=1), least_days=0.5) is not None


@pytest.mark.parametrize("trigger", [{"new_reports": 50_000}, {"signals": [reading()]}])
def test_nothing_is_due_that_could_not_be_trained(trigger: dict[str, Any]) -> None:
    assert due(**trigger, can_train=False) is None


# --- the gates, one by one

GATES = GateSettings(macro_f1=0.02, least_positives=20, pearson=0.02, bits_per_byte=0.05)
BETTER = SiteComparison(site="east", reports=150, positives=80, champion=0.85, challenger=0.87, low=-0.005, high=0.045)
WORSE = SiteComparison(site="east", reports=150, positives=80, champion=0.87, challenger=0.80, low=-0.10, high=-0.04)
PAIRS = PairsComparison(language=Language.KOREAN, pairs=200, champion=0.80, challenger=0.81, low=-0.01, high=0.03)
KEPT = StratumComparison(stratum="general, en", earlier=True, words=900, champion=2.0, challenger=2.04)
FORGOTTEN = replace(KEPT, challenger=2.4)


def judged(**changes: Any) -> Verdict:
    """All gates asked, all of them passed."""
    passing: dict[str, Any] = {
        "gates": GATES,
        "sites": [BETTER],
        "similarity": [PAIRS],
        "bits": [KEPT],
        "churn": Churn(reports=200, changed=9),
    }
    return policy.judge(**(passing | changes))


def gate(verdict: Verdict, metric: Metric, suite: str | None = None) -> policy.Gate:
    [found] = [one for one in verdict.gates if one.metric == metric and suite in {None, one.suite}]
    return found


def test_a_better_candidate_passes() -> None:
    verdict = judged()
    assert verdict.state is GateOutcome.PASSED
    assert verdict.reasons == ("all 3 gates passed",)
    assert verdict.accepted_by is None


def test_a_worse_candidate_is_rejected() -> None:
    verdict = judged(sites=[WORSE])
    assert verdict.state is GateOutcome.FAILED
    assert verdict.reasons == (
        "macro F1 at east: 0.870 became 0.800 (-0.070, 95 % -0.100 to -0.040), so more than 0.02 may be lost: "
        "it is worse",
    )


def test_one_site_that_fails_fails_the_candidate() -> None:
    west = replace(WORSE, site="west")
    verdict = judged(sites=[BETTER, west])
    assert verdict.state is GateOutcome.FAILED
    assert gate(verdict, Metric.MACRO_F1, "east").outcome is GateOutcome.PASSED
    assert gate(verdict, Metric.MACRO_F1, "west").outcome is GateOutcome.FAILED


@pytest.mark.parametrize(("low", "outcome"), [(-0.0199, GateOutcome.PASSED), (-0.02, GateOutcome.FAILED)])
def test_the_lower_end_must_be_above_the_margin(low: float, outcome: GateOutcome) -> None:
    assert judged(sites=[replace(BETTER, low=low)]).state is outcome
    assert judged(similarity=[replace(PAIRS, low=low)]).state is outcome


def test_a_candidate_that_may_be_worse_is_told_from_one_that_is() -> None:
    [reason] = judged(sites=[replace(BETTER, low=-0.03)]).reasons
    assert reason.endswith("it may be worse")


def test_too_few_positives_are_inconclusive_and_name_site_and_way_out() -> None:
    verdict = judged(sites=[BETTER, replace(WORSE, site="west", positives=19, reports=60)])
    assert verdict.state is GateOutcome.INCONCLUSIVE
    assert verdict.reasons == (
        "macro F1 at west: 20 positive labels in gate annotations are asked for, and it has 19 in 60 reports; import "
        "more of them, or accept it by name",
    )
    assert judged(sites=[replace(BETTER, positives=20)]).state is GateOutcome.PASSED


def test_a_site_without_gate_annotations_is_inconclusive() -> None:
    nothing = SiteComparison(site="new", reports=0, positives=0, champion=None, challenger=None)
    verdict = judged(sites=[BETTER, nothing])
    assert verdict.state is GateOutcome.INCONCLUSIVE
    assert "macro F1 at new" in verdict.reasons[0]
    assert "it has no gate annotation" in verdict.reasons[0]


def test_no_site_at_all_is_not_a_pass() -> None:
    verdict = judged(sites=[])
    assert verdict.state is GateOutcome.INCONCLUSIVE
    assert "no site has gate annotations" in verdict.reasons[0]


def test_similarity_without_a_file_is_listed_and_has_no_effect() -> None:
    verdict = judged(similarity=[])
    assert verdict.state is GateOutcome.PASSED
    assert [gate(verdict, Metric.PEARSON, one).outcome for one in Language] == [GateOutcome.NOT_ASKED] * 2
    assert verdict.reasons == ("all 2 gates passed",)


def test_similarity_with_a_file_has_to_be_measured() -> None:
    asked = GATES.model_copy(update={"pairs": {Language.KOREAN: Path("ko.csv"), Language.ENGLISH: Path("en.csv")}})
    verdict = judged(gates=asked)
    assert verdict.state is GateOutcome.INCONCLUSIVE
    assert gate(verdict, Metric.PEARSON, "en").outcome is GateOutcome.INCONCLUSIVE
    assert gate(verdict, Metric.PEARSON, "ko").outcome is GateOutcome.PASSED


def test_each_language_gates_by_itself() -> None:
    english = PairsComparison(language=Language.ENGLISH, pairs=300, champion=0.8, challenger=0.7, low=-0.2, high=-0.05)
    verdict = judged(similarity=[PAIRS, english])
    assert verdict.state is GateOutcome.FAILED
    assert verdict.reasons[0].startswith("Pearson's r in en: 0.800 became 0.700")


def test_forgetting_an_earlier_stratum_fails() -> None:
    verdict = judged(bits=[FORGOTTEN])
    assert verdict.state is GateOutcome.FAILED
    assert verdict.reasons == (
        "bits per byte on general, en: 2.000 became 2.400, 0.400 more where 0.05 is allowed: forgotten",
    )


def test_fewer_bits_are_better_not_worse() -> None:
    assert judged(bits=[replace(KEPT, champion=2.4, challenger=2.0)]).state is GateOutcome.PASSED


def test_a_stratum_may_lose_its_margin() -> None:
    assert judged(bits=[replace(KEPT, champion=0.0, challenger=0.05)]).state is GateOutcome.PASSED
    assert judged(bits=[replace(KEPT, champion=0.0, challenger=0.0501)]).state is GateOutcome.FAILED


def test_one_stratum_of_many_that_is_forgotten_fails() -> None:
    assert judged(bits=[KEPT, replace(FORGOTTEN, stratum="east, ko, 2026-Q1")]).state is GateOutcome.FAILED


def test_a_stratum_that_is_new_is_shown_only() -> None:
    verdict = judged(bits=[KEPT, replace(FORGOTTEN, stratum="west, ko, 2026-Q4", earlier=False)])
    assert verdict.state is GateOutcome.PASSED
    assert gate(verdict, Metric.BITS_PER_BYTE, "west, ko, 2026-Q4").outcome is GateOutcome.SHOWN


def test_where_nothing_was_learnt_before_nobody_can_tell_whether_it_is_forgotten() -> None:
    verdict = judged(bits=[replace(KEPT, earlier=False)])
    assert verdict.state is GateOutcome.INCONCLUSIVE
    assert "nightread replay add" in gate(verdict, Metric.BITS_PER_BYTE, "small strata together").reason


SMALL = [replace(FORGOTTEN, stratum=f"west ko {number}", words=120) for number in range(2)]


def test_a_few_hidden_words_decide_nothing_by_themselves() -> None:
    verdict = judged(bits=[KEPT, SMALL[0]])
    assert verdict.state is GateOutcome.PASSED
    assert gate(verdict, Metric.BITS_PER_BYTE, SMALL[0].stratum).outcome is GateOutcome.SHOWN


def test_small_strata_are_judged_together() -> None:
    verdict = judged(bits=[KEPT, *SMALL])
    assert verdict.state is GateOutcome.FAILED
    together = gate(verdict, Metric.BITS_PER_BYTE, "small strata together")
    assert (together.outcome, together.items) == (GateOutcome.FAILED, 240)
    assert together.challenger == pytest.approx(SMALL[0].challenger)


def test_a_stratum_of_which_no_word_is_hidden_does_not_stand_in_the_way() -> None:
    empty = replace(KEPT, stratum="east en 2020-Q1", words=0, champion=None, challenger=None)
    assert judged(bits=[KEPT, empty]).state is GateOutcome.PASSED


@pytest.mark.parametrize(
    ("outcome", "serving", "may_promote", "state"),
    [
        (GateOutcome.PASSED, 1, True, RefreshState.PROMOTED),
        (GateOutcome.PASSED, 1, False, RefreshState.INCONCLUSIVE),
        (GateOutcome.PASSED, 2, True, RefreshState.INCONCLUSIVE),
        (GateOutcome.PASSED, None, True, RefreshState.INCONCLUSIVE),
        (GateOutcome.INCONCLUSIVE, 1, True, RefreshState.INCONCLUSIVE),
        (GateOutcome.FAILED, 1, True, RefreshState.REJECTED),
        (GateOutcome.FAILED, 2, True, RefreshState.REJECTED),
    ],
)
def test_what_a_refresh_comes_to(
    outcome: GateOutcome, serving: int | None, may_promote: bool, state: RefreshState
) -> None:
    found, reasons = policy.ending(
        outcome=outcome, reasons=("why",), champion=1, serving=serving, may_promote=may_promote
    )
    assert found is state
    assert reasons[-1] == "why"


def test_churn_is_shown_and_gates_only_with_a_limit() -> None:
    churn = Churn(reports=200, changed=60)
    assert gate(judged(churn=churn), Metric.CHURN).outcome is GateOutcome.SHOWN
    assert gate(judged(churn=churn), Metric.CHURN).challenger == pytest.approx(0.3)
    strict, lax = (GATES.model_copy(update={"churn": limit}) for limit in (0.29, 0.3))
    assert judged(churn=churn, gates=strict).state is GateOutcome.FAILED
    assert judged(churn=churn, gates=lax).state is GateOutcome.PASSED


@pytest.mark.parametrize("churn", [None, Churn(reports=0, changed=0)])
def test_churn_that_could_not_be_measured_matters_only_with_a_limit(churn: Churn | None) -> None:
    assert judged(churn=churn).state is GateOutcome.PASSED
    assert judged(churn=churn, gates=GATES.model_copy(update={"churn": 0.5})).state is GateOutcome.INCONCLUSIVE


# --- the verdict of all gates together

FEW = replace(WORSE, site="west", positives=3)


def test_failed_beats_inconclusive() -> None:
    verdict = judged(sites=[FEW], bits=[FORGOTTEN])
    assert verdict.state is GateOutcome.FAILED
    assert verdict.reasons[0].startswith("bits per byte"), "what failed comes first"
    assert len(verdict.reasons) == 2


def test_what_is_inconclusive_can_be_accepted_by_name() -> None:
    verdict = judged(sites=[FEW], accepted_by="kim@pacs")
    assert verdict.state is GateOutcome.PASSED
    assert verdict.accepted_by == "kim@pacs"
    [reason] = verdict.reasons
    assert reason.startswith("accepted by kim@pacs: macro F1 at west")
    assert gate(verdict, Metric.MACRO_F1).outcome is GateOutcome.INCONCLUSIVE, "the gate itself says what it said"


def test_nobody_can_accept_a_failure() -> None:
    verdict = judged(sites=[FEW], bits=[FORGOTTEN], accepted_by="kim@pacs")
    assert verdict.state is GateOutcome.FAILED
    assert verdict.accepted_by is None


def test_nothing_was_accepted_where_all_passed() -> None:
    assert judged(accepted_by="kim@pacs").accepted_by is None


# --- figures that are none


@pytest.mark.parametrize("broken", [None, math.nan, math.inf])
def test_a_challenger_without_a_figure_fails_where_the_champion_has_one(broken: float | None) -> None:
    assert judged(sites=[replace(BETTER, challenger=broken)]).state is GateOutcome.FAILED
    assert judged(similarity=[replace(PAIRS, challenger=broken)]).state is GateOutcome.FAILED
    assert judged(bits=[replace(KEPT, challenger=broken)]).state is GateOutcome.FAILED


@pytest.mark.parametrize("broken", [None, math.nan])
def test_what_neither_could_be_measured_on_is_inconclusive(broken: float | None) -> None:
    assert judged(similarity=[replace(PAIRS, champion=broken, challenger=broken)]).state is GateOutcome.INCONCLUSIVE
    assert judged(bits=[replace(KEPT, champion=broken, challenger=broken)]).state is GateOutcome.INCONCLUSIVE
    assert judged(sites=[replace(BETTER, low=broken, high=broken)]).state is GateOutcome.INCONCLUSIVE


def test_the_verdict_is_json_that_postgres_takes() -> None:
    verdict = judged(bits=[KEPT, replace(KEPT, stratum="east, ko", challenger=math.nan)])
    plain = json.loads(json.dumps(verdict.as_json(), allow_nan=False))
    assert plain["state"] == "failed"
    assert plain["reasons"] == list(verdict.reasons)
    [east] = [one for one in plain["gates"] if one["suite"] == "east, ko"]
    assert east["challenger"] is None
    assert (east["metric"], east["outcome"], east["margin"], east["items"]) == ("bits-per-byte", "failed", 0.05, 900)


def test_every_gate_has_a_sentence_and_nothing_is_left_out() -> None:
    verdict = judged()
    assert [(one.metric, one.suite) for one in verdict.gates] == [
        (Metric.MACRO_F1, "east"),
        (Metric.PEARSON, "ko"),
        (Metric.PEARSON, "en"),
        (Metric.BITS_PER_BYTE, "general, en"),
        (Metric.CHURN, "labels"),
    ]
    assert all(one.reason for one in verdict.gates)


# --- champion and challenger are not to be mixed up


def swapped(one: Any) -> Any:
    """The same two models the other way round."""
    turned = {} if one.low is None else {"low": -one.high, "high": -one.low}
    return replace(one, champion=one.challenger, challenger=one.champion, **turned)


@pytest.mark.parametrize(
    ("what", "one"),
    [
        ("sites", replace(BETTER, champion=0.70, challenger=0.85, low=0.10, high=0.20)),
        ("similarity", replace(PAIRS, champion=0.5, challenger=0.8, low=0.2, high=0.4)),
        ("bits", replace(KEPT, champion=2.4, challenger=2.0)),
    ],
)
def test_swapping_the_models_turns_the_verdict(what: str, one: Any) -> None:
    assert judged(**{what: [one]}).state is GateOutcome.PASSED
    assert judged(**{what: [swapped(one)]}).state is GateOutcome.FAILED


def test_figures_that_were_swapped_on_one_side_only_are_refused() -> None:
    with pytest.raises(FiguresContradict, match="challenger - champion"):
        replace(WORSE, champion=WORSE.challenger, challenger=WORSE.champion)
    with pytest.raises(FiguresContradict):
        replace(WORSE, low=0.04, high=0.10)
    with pytest.raises(FiguresContradict):
        replace(BETTER, low=0.045, high=-0.005)


@pytest.mark.parametrize("ours_is_better", [True, False])
def test_the_intervals_of_the_paired_bootstrap_fit(ours_is_better: bool) -> None:
    rng = np.random.default_rng(5)
    truth = rng.random((150, 6)) < 0.3
    good, bad = truth ^ (rng.random(truth.shape) < 0.02), truth ^ (rng.random(truth.shape) < 0.2)
    challenger, champion = (good, bad) if ours_is_better else (bad, good)
    ours, theirs = comparison.macro_f1(challenger, truth), comparison.macro_f1(champion, truth)
    gained = comparison.estimate(comparison.difference(ours, theirs), len(truth), resamples=500)
    one = SiteComparison(
        site="east",
        reports=len(truth),
        positives=int(truth.sum()),
        champion=comparison.estimate(theirs, len(truth), resamples=10).value,
        challenger=comparison.estimate(ours, len(truth), resamples=10).value,
        low=gained.low,
        high=gained.high,
    )
    assert one.difference == pytest.approx(gained.value)
    assert judged(sites=[one]).state is (GateOutcome.PASSED if ours_is_better else GateOutcome.FAILED)


@settings(deadline=None)
@given(champion=FIGURES, challenger=FIGURES, half=st.floats(0, 0.2), positives=st.integers(0, 60))
def test_a_candidate_that_lost_more_than_the_margin_never_passes(
    champion: float, challenger: float, half: float, positives: int
) -> None:
    gained = challenger - champion
    one = SiteComparison(
        site="east", reports=100, positives=positives, champion=champion, challenger=challenger,
        low=gained - half, high=gained + half,
    )  # fmt: skip
    state = judged(sites=[one]).state
    if positives < GATES.least_positives:
        assert state is GateOutcome.INCONCLUSIVE
    elif gained <= -GATES.macro_f1:
        assert state is GateOutcome.FAILED
    elif gained - half > -GATES.macro_f1:
        assert state is GateOutcome.PASSED
    else:
        assert state is GateOutcome.FAILED
