"""How vocabularies cut Korean, English and code-mixed text that none of them was made from.

    .venv/bin/python benchmarks/vocabularies.py [--data ../shared/data] [--size 45000] [--csv FILE] [--quick]

Ours is trained here, once on real text alone and once with made-up reports beside it; a size that the text does not
support is lowered to what it does. The others are read from their vocab.txt, cased or not as they were made. Held out
is one document in ten; the code-mixed reports are made up (the made-up reports of the second vocabulary share their
phrases, so that row flatters it). Words are what stands between white space; where many are unknown, few pieces per
word mean nothing.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import benchmark_form
from benchmark_form import Data, demand, last_line, markdown
from shared_text import made_up, read, vocabulary
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from transformers import PreTrainedTokenizerFast

from models import fertility

# cased or not is not in the file
OTHERS = {
    "BERT base cased (BioBERT)": ("bert-base-cased.vocab.txt", True),
    "BERT base uncased": ("bert-base-uncased.vocab.txt", False),
    "BERT multilingual cased (M-BERT)": ("bert-base-multilingual-cased.vocab.txt", True),
}
FIGURES = ("pieces per word", "unknown words", "bytes per piece")
MADE_UP_TRAINED, MADE_UP_HELD_OUT = 2_000, 300
QUICK = 5  # one document in so many

Row = tuple[str, int, str, int, float, float, float]  # vocabulary, its size, text, its words, and FIGURES


def main(given: argparse.Namespace) -> None:
    demand(given.data)
    splits = read(given.data)
    texts = [text for split in splits.values() for text in split.train[:: QUICK if given.quick else 1]]
    reports = [text for seed in (1, 2) for text in made_up(MADE_UP_TRAINED, seed=seed)]
    vocabularies = {
        "Nightread": vocabulary(texts, given.size),
        "Nightread, with made-up reports": vocabulary(texts + reports, given.size),
        **{name: published(given.data / "vocab" / file, cased=cased) for name, (file, cased) in OTHERS.items()},
    }
    held_out = {name: split.held_out for name, split in splits.items()}
    held_out["code-mixed reports (made up)"] = made_up(MADE_UP_HELD_OUT, seed=9)
    rows = []
    for name, tokenizer in vocabularies.items():
        for kind, texts in held_out.items():
            found = fertility.measure(tokenizer, texts)
            figures = (found.pieces_per_word, found.unknown_rate, found.bytes_per_piece)
            rows.append((name, len(tokenizer), kind, found.words, *figures))
    if given.csv is not None:
        with given.csv.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(("vocabulary", "pieces", "text", "words", *FIGURES))
            writer.writerows(rows)
    show(rows, quick=given.quick)


def published(path: Path, *, cased: bool) -> PreTrainedTokenizerFast:
    """A tokenizer as BERT's own: a cased one keeps capitals and accents, an uncased one neither."""
    pieces = {piece: row for row, piece in enumerate(path.read_text(encoding="utf-8").splitlines())}
    unknown = "[UNK]" if "[UNK]" in pieces else "[unk]"  # one of these files is in small letters throughout
    backend = Tokenizer(WordPiece(pieces, unk_token=unknown))
    backend.normalizer = BertNormalizer(lowercase=not cased, strip_accents=not cased)
    backend.pre_tokenizer = BertPreTokenizer()
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token=unknown)


def show(rows: Sequence[Row], *, quick: bool) -> None:
    kinds = list(dict.fromkeys(row[2] for row in rows))
    shown = [
        (name, f"{size:,}", text, f"{words:,}", f"{pieces:.2f}", f"{unknown:.2%}", f"{text_bytes:.2f}")
        for name, size, text, words, pieces, unknown, text_bytes in sorted(rows, key=lambda row: kinds.index(row[2]))
    ]
    print(markdown(("vocabulary", "size", "text", "words", *FIGURES), shown))
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, _, text, _, *figures in rows:
        found.setdefault(name, {})[text] = dict(zip(FIGURES, (round(one, 4) for one in figures), strict=True))
    sizes = {row[0]: row[1] for row in rows}
    last_line({"sizes": sizes, "vocabularies": found}, data=Data.BOTH, quick=quick)


if __name__ == "__main__":
    parser = benchmark_form.parser(__doc__, quick="8,000 pieces from a fifth of the text", data="there is no benchmark")
    parser.add_argument("--size", type=int, default=45_000)
    parser.add_argument("--csv", type=Path)
    parsed = parser.parse_args()
    if parsed.quick:
        parsed.size = 8_000
    main(parsed)
