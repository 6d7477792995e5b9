"""Similarity: the readers of its files, its correlations, and that a model's scores say what the sentences say."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from bilingual_reports import made_up_reports
from scipy import stats
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, RobertaConfig, RobertaModel

from models import sentence_pairs
from models.errors import ArtifactError, FoundationError, ModelError
from models.foundations import save_tokenizer
from models.sentence_pairs import Format, Pair, PairsError
from models.similarity import correlation, fine_tuned, zero_shot

SIMILARITY = Path(__file__).parents[4] / "shared" / "data" / "similarity"
# Made up, in the shape of MedSTS and n2c2: no header, quotation marks as they fall.
MEDSTS = 'The patient denies "chest pain.\tNo chest pain was reported.\t4.5\nTake one tablet.\tShe walks "well".\t0\n'
KORSTS = (
    "genre\tfilename\tyear\tid\tscore\tsentence1\tsentence2\n"
    "main-news\theadlines\t2013\t0001\t3.200\t흉수가 있다.\t양측에 흉수가 보인다.\n"
)
STSB = (
    "main-captions\tMSRvid\t2012test\t0000\t5.000\tA man is dancing.\tA man dances.\n"
    'main-forums\tdeft\t2013\t0007\t1.750\tHe said "no.\tYes.\thttp://example.org\tPDDL\n'
)


def written(folder: Path, content: str | bytes) -> Path:
    file = folder / "pairs.tsv"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


# --- readers


@pytest.mark.parametrize("layout", [Format.AUTO, Format.MEDSTS])
def test_medsts_and_quotation_marks_are_text(tmp_path: Path, layout: Format) -> None:
    first, second = sentence_pairs.read(written(tmp_path, MEDSTS), layout)
    assert first == Pair('The patient denies "chest pain.', "No chest pain was reported.", 4.5)
    assert second.second == 'She walks "well".'


@pytest.mark.parametrize("layout", [Format.AUTO, Format.KORSTS])
def test_korsts_by_its_header(tmp_path: Path, layout: Format) -> None:
    expected = [Pair("흉수가 있다.", "양측에 흉수가 보인다.", 3.2)]
    assert sentence_pairs.read(written(tmp_path, KORSTS), layout) == expected
    assert sentence_pairs.read(written(tmp_path, b"\xef\xbb\xbf" + KORSTS.encode()), layout) == expected
    assert sentence_pairs.read(written(tmp_path, KORSTS.replace("\n", "\r\n")), layout) == expected


@pytest.mark.parametrize("layout", [Format.AUTO, Format.STSB])
def test_stsb_with_and_without_sources(tmp_path: Path, layout: Format) -> None:
    found = sentence_pairs.read(written(tmp_path, STSB), layout)
    assert found == [Pair("A man is dancing.", "A man dances.", 5.0), Pair('He said "no.', "Yes.", 1.75)]


def test_a_line_separator_within_a_sentence_is_text(tmp_path: Path) -> None:
    assert len(sentence_pairs.read(written(tmp_path, "a\u2028b\u0085\tc\t1\n"))) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "holds no sentence pairs"),
        (KORSTS.splitlines()[0], "a header and no sentence pairs"),
        (f"{MEDSTS}a,b,3\n", "line 3: 1 columns"),
        (f"{MEDSTS}\nsecret one\tsecret two\tmany\n", "line 4: the score in column 3"),
        (f"{MEDSTS}a\tb\t5.5\n", "line 3: the score in column 3"),
        (f"{MEDSTS}a\tb\tnan\n", "line 3: the score in column 3"),
        (f"{MEDSTS}a\t \t5\n", "line 3: a sentence is empty"),
        (MEDSTS.encode() + "흉수\t폐렴\t1\n".encode("cp949"), "line 3: not UTF-8"),
        ("one\ttwo\tthree\tfour\n", "line 1: 4 columns separated by tabs are neither"),
    ],
)
def test_a_line_that_is_not_as_it_should_be_is_named_without_its_text(
    tmp_path: Path, content: str | bytes, said: str
) -> None:
    with pytest.raises(PairsError, match=said) as caught:
        sentence_pairs.read(written(tmp_path, content))
    assert "pairs.tsv" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_file_in_another_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PairsError, match="no header with sentence1, sentence2, score"):
        sentence_pairs.read(written(tmp_path, STSB), Format.KORSTS)
    with pytest.raises(PairsError, match="cannot be read"):
        sentence_pairs.read(tmp_path / "nowhere.tsv")


def test_the_real_files_are_read_whole() -> None:
    if not SIMILARITY.exists():
        pytest.skip(f"the real sentence pairs are not at {SIMILARITY}")
    sizes = {file: len(sentence_pairs.read(SIMILARITY / file)) for file in ("korsts/sts-train.tsv", "stsb/sts-dev.csv")}
    assert sizes == {"korsts/sts-train.tsv": 5749, "stsb/sts-dev.csv": 1500}


# --- correlations


def test_correlations_are_scipys() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 6, 200).astype(float)  # ties
    given = np.exp(truth + random.normal(0, 2, 200))
    found = correlation(given, truth)
    assert found.pearson == pytest.approx(stats.pearsonr(given, truth).statistic)
    assert found.spearman == pytest.approx(stats.spearmanr(given, truth).statistic)
    low, high = found.spearman_interval
    assert low < found.spearman < high
    again = stats.bootstrap(
        (given, truth),
        lambda x, y: stats.spearmanr(x, y).statistic,
        paired=True,
        vectorized=False,
        method="percentile",
        n_resamples=1000,
        rng=1,
    ).confidence_interval
    assert (low, high) == pytest.approx((again.low, again.high), abs=0.02)


def test_intervals_narrow_with_more_pairs() -> None:
    random = np.random.default_rng(0)
    truth = random.random(2000)
    given = truth + random.normal(0, 0.3, 2000)
    wide, narrow = (correlation(given[:count], truth[:count]).pearson_interval for count in (50, 2000))
    assert narrow.high - narrow.low < (wide.high - wide.low) / 3


def test_scores_that_are_all_the_same_correlate_with_nothing() -> None:
    with pytest.raises(ModelError, match="all scores are the same"):
        correlation([1.0, 1.0, 1.0], [1.0, 2.0, 3.0])
    with pytest.raises(ModelError, match="three or more"):
        correlation([1.0, 2.0], [1.0, 2.0])


# --- models


def test_a_sentence_is_like_itself_and_in_any_order(foundation: Path) -> None:
    one, other = "A 7 mm nodule is seen.", "심장 크기는 정상임."
    same, forth, back = zero_shot(foundation, [Pair(one, one, 5), Pair(one, other, 0), Pair(other, one, 0)])
    assert same == pytest.approx(1.0)
    assert forth == pytest.approx(back)
    assert forth < 0.999


def test_sentences_are_compared_alike_alone_and_in_company(foundation: Path) -> None:
    texts = made_up_reports(20, seed=8)[0]
    pairs = [Pair(one, other, 0) for one, other in zip(texts, reversed(texts), strict=True)]
    together = zero_shot(foundation, pairs, device="cpu")
    assert together == pytest.approx([float(zero_shot(foundation, [pair])[0]) for pair in pairs], abs=1e-5)


def test_nothing_of_a_long_sentence_is_cut(foundation: Path) -> None:
    start = "The heart is normal. " * 130  # more than 512 tokens
    changed = zero_shot(foundation, [Pair(start, start + "우측에 흉수가 관찰됨. " * 60, 0)])
    assert changed[0] < 0.9999


def test_fine_tuning_learns_what_cosine_does_not_know(foundation: Path) -> None:
    # People here find alike what mentions an effusion on both sides, whatever else it says.
    def pairs(seed: int, count: int) -> list[Pair]:
        texts, truth = made_up_reports(2 * count, seed)
        return [
            Pair(texts[row], texts[row + 1], 5.0 * (truth[row, 0] == truth[row + 1, 0]))
            for row in range(0, 2 * count, 2)
        ]

    train, held_out = pairs(1, 300), pairs(2, 100)
    losses: list[float] = []
    scores = fine_tuned(
        foundation,
        train,
        train,
        epochs=6,
        learning_rate=2e-3,
        device="cpu",
        on_step=lambda step: losses.append(step.loss),
    )
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) - 0.03
    judged = [pair.score for pair in train]
    assert correlation(scores, judged).pearson > correlation(zero_shot(foundation, train), judged).pearson + 0.1
    again = fine_tuned(foundation, train[:40], held_out[:5], epochs=1, seed=4, device="cpu")
    assert again == pytest.approx(fine_tuned(foundation, train[:40], held_out[:5], epochs=1, seed=4, device="cpu"))


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FoundationError):
        zero_shot(tmp_path, [Pair("a", "b", 1)])


def test_an_altered_model_is_refused(tmp_path: Path, foundation: Path) -> None:
    shutil.copytree(foundation, tmp_path / "altered")
    file = tmp_path / "altered" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    with pytest.raises(ArtifactError, match="is not the file that was written"):
        zero_shot(tmp_path / "altered", [Pair("one", "two", 1.0)])


def test_more_pieces_than_embeddings_are_refused(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    BertModel(
        BertConfig(vocab_size=len(tokenizer) - 1, hidden_size=32, num_hidden_layers=1, num_attention_heads=2)
    ).save_pretrained(tmp_path)
    save_tokenizer(tokenizer, tmp_path)
    with pytest.raises(FoundationError, match="embeddings for"):
        zero_shot(tmp_path, [Pair("one", "two", 1.0)])


def test_positions_that_begin_behind_the_padding_are_not_overrun(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=34,
        pad_token_id=1,
    )
    RobertaModel(config).save_pretrained(tmp_path)
    save_tokenizer(tokenizer, tmp_path)
    assert np.isfinite(zero_shot(tmp_path, [Pair("no pleural effusion " * 40, "흉수가 없다.", 1.0)])).all()


def test_what_cannot_be_correlated_says_why() -> None:
    with pytest.raises(ModelError, match="2 sentence pairs are too few"):
        correlation([0.1, 0.2], [1, 2])
    with pytest.raises(ModelError, match="scores are no numbers"):
        correlation([0.1, np.nan, 0.3], [1, 2, 3])
