"""Taking words from a report and reading it again."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from bilingual_reports import LABELS, made_up_reports
from captum.attr import LayerIntegratedGradients

from models import classifier_files, faithfulness
from models.attribution import integrated_gradients
from models.classifier import Classifier, Finding
from models.errors import ModelError
from models.explaining import Explanation
from models.faithfulness import Removal, Rereader, Weighed
from models.foundations import longest_window
from models.sentences import Span
from models.windows import Reader, to_ids
from models.words import find_words

HALF = (0.5, 0.5, 0.5)
REPORT = "The heart is normal. Bilateral pleural effusion is observed. 림프절 종대 없음. 심장 크기는 정상임."
EFFUSION = Span(21, 60)  # "Bilateral pleural effusion is observed."
CPU = torch.device("cpu")


@pytest.fixture
def files(artifact: Path) -> classifier_files.ClassifierFiles:
    return classifier_files.load(artifact)


@pytest.fixture
def rereader(files: classifier_files.ClassifierFiles) -> Rereader:
    return Rereader(files, CPU)


@pytest.fixture
def found(classifier: Classifier) -> list[tuple[str, Finding]]:
    texts, _ = made_up_reports(15, seed=11)
    predictions = classifier.predict(texts, thresholds=HALF)
    return [(text, finding) for text, said in zip(texts, predictions, strict=True) for finding in said.findings]


def weighed(text: str, finding: Finding, weights: Iterable[float] | None = None) -> Weighed:
    words = [Span(*span) for span in zip(finding.starts, finding.ends, strict=True)]
    return Weighed(text, LABELS.index(finding.label), words, list(finding.weights if weights is None else weights))


def probability(rereader: Rereader, finding: Weighed, removed: list[Span], removal: Removal) -> float:
    keys = rereader.keys(rereader.read(finding.text), removed, removal)
    return float(rereader.probabilities([keys])[0, finding.label])


def one_by_one(rereader: Rereader, finding: Weighed, removal: Removal) -> list[float]:
    """What each word alone is worth: the oracle's weights."""
    whole = probability(rereader, finding, [], removal)
    return [whole - probability(rereader, finding, [word], removal) for word in finding.words]


def shuffled(findings: list[Weighed]) -> list[Weighed]:
    random = np.random.default_rng(0)
    return [one._replace(weights=random.permutation(len(one.words)).tolist()) for one in findings]


class Means(NamedTuple):
    comprehensiveness: float
    sufficiency: float


def means(rereader: Rereader, findings: list[Weighed], removal: Removal) -> Means:
    measured = rereader.measure(findings, removal)
    return Means(*(float(np.mean([getattr(one, name) for one in measured])) for name in Means._fields))


@pytest.mark.parametrize("removal", Removal)
def test_with_nothing_removed_the_report_is_read_as_the_classifier_reads_it(
    rereader: Rereader, classifier: Classifier, removal: Removal
) -> None:
    texts = [*made_up_reports(20, seed=12)[0], "the heart is normal, " * 200, ""]
    ours = rereader.probabilities([rereader.keys(rereader.read(text), [], removal) for text in texts])
    theirs = [said.probabilities for said in classifier.predict(texts, thresholds=HALF)]
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_masking_masks_the_words_pieces_and_keeps_everything_else_in_place(
    rereader: Rereader, files: classifier_files.ClassifierFiles
) -> None:
    document = rereader.read(REPORT)
    word = Span(REPORT.index("pleural"), REPORT.index("pleural") + len("pleural"))
    keys = rereader.keys(document, [word], Removal.MASKED)
    assert len(keys) == len(document.windows)
    masked = 0
    for key, window in zip(keys, document.windows, strict=True):
        assert len(to_ids(key)) == len(window.ids)
        for now, then, (start, end) in zip(to_ids(key), window.ids, window.spans.tolist(), strict=True):
            inside = start < end and word.start <= start and end <= word.end
            assert now == (files.tokenizer.mask_token_id if inside else then)
            masked += inside
    assert masked >= 1


def test_deleting_cuts_out_exactly_the_words_characters(
    rereader: Rereader, files: classifier_files.ClassifierFiles
) -> None:
    document = rereader.read(REPORT)
    words = find_words(REPORT, EFFUSION)
    keys = rereader.keys(document, [words[0], words[2], words[-1]], Removal.DELETED)
    tokenizer = files.tokenizer
    expected = [window.key for window in document.windows]
    at = next(index for index, window in enumerate(document.windows) if document.sentences[window.sentence].start == 21)
    left = tokenizer(" pleural  is observed ")["input_ids"]
    assert [to_ids(key) for key in keys] == [left if index == at else to_ids(k) for index, k in enumerate(expected)]


def test_what_is_left_of_a_sentence_stays_one_sentence(rereader: Rereader) -> None:
    """Without its full stop it would run on into the next, and "a.Pleural" would be two."""
    text = "A nodule in a. Pleural effusion. Normal heart."
    document = rereader.read(text)
    stops = [Span(at, at + 1) for at, sign in enumerate(text) if sign == "."]
    assert len(rereader.keys(document, stops, Removal.DELETED)) == len(document.windows)


def test_an_over_long_sentence_is_deleted_from_in_the_windows_of_the_reader(
    rereader: Rereader, files: classifier_files.ClassifierFiles
) -> None:
    text = "bilateral pleural effusion, the heart is normal, " * 60 + "and odd"
    last = find_words(text, Span(0, len(text)))[-1]
    reader = Reader(files.tokenizer, longest_window(files.model.encoder, files.tokenizer))
    expected = [window.key for window in reader.read(text.removesuffix("odd")).windows]
    assert len(expected) > 3
    assert rereader.keys(rereader.read(text), [last], Removal.DELETED) == expected


@pytest.mark.parametrize("removal", Removal)
def test_other_sentences_stay_as_they_are(rereader: Rereader, removal: Removal) -> None:
    document = rereader.read(REPORT)
    keys = rereader.keys(document, find_words(REPORT, EFFUSION), removal)
    changed = [key != window.key for key, window in zip(keys, document.windows, strict=True)]
    assert changed == [document.sentences[window.sentence].start == EFFUSION.start for window in document.windows]


@pytest.mark.parametrize("removal", Removal)
def test_the_oracle_beats_a_random_order_and_that_beats_its_reverse(
    rereader: Rereader, found: list[tuple[str, Finding]], removal: Removal
) -> None:
    """The tiny model is so sure that any of a finding's words will do: what they keep tells more than what is lost."""
    findings = [weighed(text, finding) for text, finding in found]
    oracle = [one._replace(weights=one_by_one(rereader, one, removal)) for one in findings]
    reverse = [one._replace(weights=[-weight for weight in one.weights]) for one in oracle]
    best, chance, worst = (means(rereader, order, removal) for order in (oracle, shuffled(findings), reverse))
    assert best.comprehensiveness > 1.5 * chance.comprehensiveness > 1.5 * worst.comprehensiveness
    assert best.sufficiency + 0.1 < chance.sufficiency < worst.sufficiency - 0.2


@pytest.mark.parametrize("removal", Removal)
def test_the_heatmap_beats_a_random_order(
    rereader: Rereader, found: list[tuple[str, Finding]], removal: Removal
) -> None:
    findings = [weighed(text, finding) for text, finding in found]
    ours, chance = (means(rereader, order, removal) for order in (findings, shuffled(findings)))
    assert ours.comprehensiveness > 1.5 * chance.comprehensiveness
    assert ours.sufficiency + 0.1 < chance.sufficiency


@pytest.mark.parametrize("removal", Removal)
def test_it_is_the_mean_over_the_shares_of_what_is_lost(
    rereader: Rereader, found: list[tuple[str, Finding]], removal: Removal
) -> None:
    finding = weighed(*found[0])
    [result] = rereader.measure([finding], removal)
    whole = probability(rereader, finding, [], removal)
    order = sorted(range(len(finding.words)), key=lambda at: -finding.weights[at])
    without, alone = [], []
    for percent in (10, 20, 30, 40, 50):
        top = max(1, round(percent * len(order) / 100))
        heaviest = [finding.words[at] for at in order[:top]]
        rest = [finding.words[at] for at in order[top:]]
        without.append(whole - probability(rereader, finding, heaviest, removal))
        alone.append(whole - probability(rereader, finding, rest, removal))
    null = whole - probability(rereader, finding, list(finding.words), removal)
    assert result.comprehensiveness == pytest.approx(np.mean(without), abs=1e-5)
    assert result.sufficiency == pytest.approx(np.mean(alone), abs=1e-5)
    assert result.null_difference == pytest.approx(null, abs=1e-5)
    assert null > 0.3, "without its words the finding is gone"
    assert result.normalised is not None
    shares = np.clip(np.array([without, alone]) / null, 0, 1).mean(1)
    assert result.normalised == pytest.approx((shares[0], 1 - shares[1]), abs=1e-5)


@pytest.mark.parametrize("removal", Removal)
def test_one_word_that_is_all_there_is_loses_everything_without_it_and_nothing_with_it(
    rereader: Rereader, removal: Removal
) -> None:
    """The top share of one word is that word: what is removed is all, and what is kept is all."""
    text = "The heart is normal. effusion"
    finding = Weighed(text, 0, [Span(21, 29)], [1.0])
    [result] = rereader.measure([finding], removal)
    assert result.comprehensiveness == result.null_difference
    assert result.sufficiency == 0


def test_the_normalised_figures_are_carton_rathore_and_tans() -> None:
    # p(report) 0.9, null 0.1: a null difference of 0.8. Without the words 0.5; with them alone 0.7.
    judged = faithfulness._judge(np.array([0.9, 0.1, *[0.5] * 5, *[0.7] * 5]))
    assert judged.comprehensiveness == pytest.approx(0.4)
    assert judged.sufficiency == pytest.approx(0.2)
    assert judged.normalised == pytest.approx((0.5, 0.75))


def test_the_normalised_figures_stay_within_0_and_1() -> None:
    # Without the words less is left than without any; with them alone more than there was.
    judged = faithfulness._judge(np.array([0.9, 0.1, *[0.0] * 5, *[0.95] * 5]))
    assert judged.normalised == pytest.approx((1, 1))
    judged = faithfulness._judge(np.array([0.9, 0.1, *[0.99] * 5, *[0.0] * 5]))
    assert judged.normalised == pytest.approx((0, 0))


@pytest.mark.parametrize("null", [0.89, 0.9, 0.95])
def test_a_finding_that_stands_elsewhere_too_has_no_normalised_figures(null: float) -> None:
    assert faithfulness._judge(np.array([0.9, null, *[0.8] * 10])).normalised is None


def test_equal_reports_are_read_once(rereader: Rereader, found: list[tuple[str, Finding]]) -> None:
    one = weighed(*found[0])
    [first, second] = rereader.measure([one, one], Removal.MASKED)
    assert first == second
    assert rereader.measure([], Removal.MASKED) == []


@pytest.mark.parametrize(("words", "weights"), [([], []), ([Span(0, 3)], [])])
def test_a_finding_without_words_cannot_be_judged(rereader: Rereader, words: list[Span], weights: list[float]) -> None:
    with pytest.raises(ModelError, match="cannot be judged"):
        rereader.measure([Weighed(REPORT, 0, words, weights)], Removal.DELETED)


class Captum:
    """The library's integrated gradients with its own defaults, 50 steps."""

    def __init__(self, files: classifier_files.ClassifierFiles) -> None:
        model, self._tokenizer = files.model, files.tokenizer
        embeddings = model.encoder.get_input_embeddings().requires_grad_(True)  # Captum's hooks need it
        self._captum = LayerIntegratedGradients(lambda ids, attention: model(attention, ids=ids), embeddings)

    def explain(self, pairs: Iterable[tuple[bytes, int]]) -> dict[tuple[bytes, int], Explanation]:
        explanations = {}
        for key, label in pairs:
            ids = torch.tensor([to_ids(key)])
            ends = torch.tensor([self._tokenizer.cls_token_id, self._tokenizer.sep_token_id])
            baseline = torch.where(torch.isin(ids, ends), ids, self._tokenizer.mask_token_id)
            found = self._captum.attribute(
                ids, baselines=baseline, additional_forward_args=(torch.ones_like(ids),), target=label, n_steps=50
            )
            explanations[key, label] = Explanation(found.sum(-1)[0].detach().numpy(), 0.0)
        return explanations


def test_another_explainer_takes_the_place_of_ours_and_changes_the_weights_alone(
    files: classifier_files.ClassifierFiles, classifier: Classifier
) -> None:
    texts, _ = made_up_reports(10, seed=13)
    ours = classifier.predict(texts, thresholds=HALF)
    theirs = Classifier(files, CPU, explains=Captum(files)).predict(texts, thresholds=HALF)
    for one, other in zip(ours, theirs, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)
        for a, b in zip(one.findings, other.findings, strict=True):
            assert (a.label, a.sentence, a.starts, a.ends) == (b.label, b.sentence, b.starts, b.ends)
            assert a.weights != b.weights


def test_captum_with_fifty_steps_agrees_with_ours_at_many(files: classifier_files.ClassifierFiles) -> None:
    theirs = Captum(files)
    ids = files.tokenizer("Bilateral pleural effusion is observed.")["input_ids"]
    key = np.asarray(ids, dtype=np.int32).tobytes()
    row = torch.tensor([ids])
    baseline = torch.full_like(row, files.tokenizer.mask_token_id)
    baseline[:, [0, -1]] = row[:, [0, -1]]
    ours = integrated_gradients(files.model, row, torch.ones_like(row), baseline, torch.tensor([0]), steps=200)
    weights = theirs.explain([(key, 0)])[key, 0].weights
    np.testing.assert_allclose(weights, ours[0], atol=0.02 * float(ours.abs().max()))
    three = integrated_gradients(files.model, row, torch.ones_like(row), baseline, torch.tensor([0]))
    assert abs(weights - three[0].numpy()).max() > abs(weights - ours[0].numpy()).max()
