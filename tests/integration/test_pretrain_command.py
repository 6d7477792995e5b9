"""`nightread pretrain` and `nightread similarity` as people type them, on corpora that are files."""

import json
import os
import signal
import threading
from pathlib import Path

import pytest
from transformers import DistilBertConfig, DistilBertModel
from typed_commands import Typed, typist

from models import artifacts
from models.encoder import new_encoder
from models.foundations import load_encoder, load_tokenizer, save_tokenizer
from models.vocabulary import train_wordpiece
from nightread.made_up.reports import Style, reports


def made_up(count: int, seed: int, style: Style | None = None) -> list[str]:
    styles = {"styles": {style: 1.0}} if style else {}
    return [made.text for made in reports(count, seed=seed, **styles)]


@pytest.fixture(scope="module")
def foundation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("foundation") / "tiny"
    new_encoder(folder, train_wordpiece(made_up(60, 1), 800), layers=1, width=32, heads=2)
    return folder


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vocabulary")
    save_tokenizer(train_wordpiece(made_up(80, 2), 1_000), folder)
    return folder


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Type a command, inside this process, in a home without a database."""
    monkeypatch.setenv("NIGHTREAD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    return typist(monkeypatch, capsys)


@pytest.fixture
def corpus(typed: Typed, tmp_path: Path) -> str:
    file = tmp_path / "reports.txt"
    file.write_text("\n\n".join(made_up(60, 3)), encoding="utf-8")
    assert typed("corpus", "add", "hospital", file).code == 0
    return "hospital"


def asked(foundation: Path, corpus: str, out: Path, *more: object) -> list[object]:
    small = ("--length", 32, "--batch-tokens", 256, "--steps", 12, "--learning-rate", 0.003, "--device", "cpu")
    return ["pretrain", "--foundation", foundation, "--corpus", corpus, "--out", out, *small, *more]


def test_a_foundation_learns_in_a_new_vocabulary(
    foundation: Path, vocabulary: Path, corpus: str, typed: Typed, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    said = typed(*asked(foundation, corpus, out, "--vocabulary", vocabulary, "--whole-word"))
    assert said.code == 0, said.err
    assert "pieces kept their embedding" in said.plain
    assert "12 steps" in said.plain
    assert "tokens/s" in said.err
    assert (out / "curve.png").read_bytes().startswith(b"\x89PNG")
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == list(range(1, 13))
    assert log[-1]["loss"] < log[0]["loss"]
    assert set(log[0]) >= {"step", "loss", "tokens", "tokens_per_second", "learning_rate"}
    assert load_encoder(out / "model").config.vocab_size == len(load_tokenizer(vocabulary))
    assert not any(report[:40] in (out / "log.jsonl").read_text() for report in made_up(60, 3))

    again = typed(*asked(foundation, corpus, out, "--vocabulary", vocabulary, "--whole-word", "--resume"))
    assert again.code == 1
    assert "is done; its model is" in again.plain
    assert len(again.err.splitlines()) == 1


def test_epochs_say_how_many_steps(foundation: Path, corpus: str, typed: Typed, tmp_path: Path) -> None:
    arguments = asked(foundation, corpus, tmp_path / "out", "--epochs", 2, "--json")
    at = arguments.index("--steps")
    said = typed(*arguments[:at], *arguments[at + 2 :])
    assert said.code == 0, said.err
    last = json.loads(said.out)["last_step"]
    assert last["epoch"] in {2, 3}
    assert last["tokens"] == pytest.approx(last["steps"] * 256, rel=0.1)


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--corpus", "nowhere"], 1, "there is no corpus 'nowhere'"),
        (["--length", "1024", "--batch-tokens", "1024"], 1, "reads 512 tokens at most"),
        (["--length", "512"], 2, "holds no row of 512"),
        (["--resume"], 1, "there is nothing to resume"),
        (["--foundation", "/nowhere/at/all"], 1, "there is no folder"),
        (["--device", "tpu7"], 1, "there is no device"),
        (["--vocabulary", "/nowhere/at/all"], 1, "there is no vocabulary in '/nowhere/at/all'"),
        (["--learning-rate", "-1"], 2, "'--learning-rate'"),
        (["--learning-rate", "nan"], 2, "'--learning-rate'"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line_and_leaves_nothing(
    foundation: Path, corpus: str, typed: Typed, tmp_path: Path, more: list[str], code: int, message: str
) -> None:
    said = typed(*asked(foundation, corpus, tmp_path / "out", *more))
    assert said.code == code
    assert message in said.plain
    assert "Traceback" not in said.err
    assert not (tmp_path / "out" / "model").exists()


def test_a_foundation_that_is_no_bert_is_refused(foundation: Path, corpus: str, typed: Typed, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(foundation)
    config = DistilBertConfig(vocab_size=len(tokenizer), dim=32, n_layers=1, n_heads=2, hidden_dim=64)
    DistilBertModel(config).save_pretrained(tmp_path / "distilled")
    save_tokenizer(tokenizer, tmp_path / "distilled")
    said = typed(*asked(tmp_path / "distilled", corpus, tmp_path / "out"))
    assert said.code == 1
    assert "is a 'distilbert' model and no BERT" in said.plain


def test_a_folder_in_use_is_left_alone(foundation: Path, corpus: str, typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    said = typed(*asked(foundation, corpus, tmp_path / "out"))
    assert said.code == 1
    assert "is in use" in said.plain
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_ctrl_c_says_how_to_go_on_and_another_vocabulary_of_that_size_does_not(
    foundation: Path, corpus: str, typed: Typed, tmp_path: Path
) -> None:
    for name, seed in (("first", 11), ("second", 12)):
        with artifacts.writing(tmp_path / name) as part:
            save_tokenizer(train_wordpiece(made_up(80, seed), 500), part)
    assert len(load_tokenizer(tmp_path / "first")) == len(load_tokenizer(tmp_path / "second"))
    out = tmp_path / "out"
    arguments = asked(foundation, corpus, out, "--checkpoint-every", 4, "--steps", 5_000, "--vocabulary")
    ended = threading.Event()

    def press() -> None:
        while not ended.wait(0.01):
            if any((out / "checkpoints").glob("step-*")):
                os.kill(os.getpid(), signal.SIGINT)
                return

    presses = threading.Thread(target=press)
    # A shell that puts the tests into the background has them ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        presses.start()
        said = typed(*arguments, tmp_path / "first")
    finally:
        ended.set()
        presses.join()
        signal.signal(signal.SIGINT, before)
    assert said.code == 130
    assert "stopped; --resume goes on from step-" in said.plain

    said = typed(*arguments, tmp_path / "second", "--resume")
    assert said.code == 1
    assert "was begun with vocabulary '500 pieces" in said.plain


def test_an_altered_vocabulary_is_refused(foundation: Path, corpus: str, typed: Typed, tmp_path: Path) -> None:
    with artifacts.writing(tmp_path / "vocabulary") as part:
        save_tokenizer(train_wordpiece(made_up(80, 2), 500), part)
    file = tmp_path / "vocabulary" / "tokenizer.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"lowercase": true', '"lowercase": false'))
    said = typed(*asked(foundation, corpus, tmp_path / "out", "--vocabulary", tmp_path / "vocabulary"))
    assert said.code == 1
    assert "is not the file that was written" in said.plain
    assert not (tmp_path / "out").exists()


def test_a_corpus_in_one_language_is_warned_of(foundation: Path, typed: Typed, tmp_path: Path) -> None:
    file = tmp_path / "english.txt"
    file.write_text("\n\n".join(made_up(40, 4, Style.ENGLISH)), encoding="utf-8")
    assert typed("corpus", "add", "english", file).code == 0
    said = typed(*asked(foundation, "english", tmp_path / "out", "--steps", 1))
    assert said.code == 0
    assert "warning: this corpus is in one language (0% of its bytes with Korean, 100% with English)" in said.plain


def test_similarity_says_how_far_a_model_agrees_with_people(foundation: Path, typed: Typed, tmp_path: Path) -> None:
    texts = [text[:60].replace("\n", " ") for text in made_up(20, 5)]
    lines = [
        f"{one}\t{one if row % 2 else other}\t{5 * (row % 2)}"
        for row, (one, other) in enumerate(zip(texts, texts[::-1], strict=True))
    ]
    file = tmp_path / "pairs.tsv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    said = typed("similarity", "--model", foundation, "--pairs", file)
    assert said.code == 0, said.err
    assert "20 pairs, zero-shot cosine" in said.plain
    found = json.loads(typed("similarity", "--model", foundation, "--pairs", file, "--json").out)
    low, high = found["pearson_interval"]
    assert 0.3 < low <= found["pearson"] <= high <= 1
    tuned = typed("similarity", "--model", foundation, "--pairs", file, "--fine-tune", file, "--epochs", 1)
    assert "fine-tuned regression" in tuned.plain

    file.write_text("\n".join([*lines, "secret\tsecret"]), encoding="utf-8")
    said = typed("similarity", "--model", foundation, "--pairs", file)
    assert said.code == 1
    assert "line 21: 2 columns" in said.plain
    assert "secret" not in said.plain
