"""How vocabularies cut Korean, English and code-mixed text that none of them was made from.

    .venv/bin/python benchmarks/vocabularies.py [--data ../shared/data] [--size 45000] [--csv FILE]

Ours is trained here, once on real text alone and once with made-up reports beside it; a size that the text does not
support is lowered to what it does. The others are read from their vocab.txt, cased or not as they were made. Held out
is one document in ten; the code-mixed reports are made up (the made-up reports of the second vocabulary share their
phrases, so that row flatters it). Words are what stands between white space; where many are unknown, few pieces per
word mean nothing.
"""

import argparse
import csv
from pathlib import Path

from rich.console import Console
from rich.table import Table
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


def main(data: Path, size: int, out: Path | None) -> None:
    splits = read(data)
    texts = [text for split in splits.values() for text in split.train]
    reports = [text for seed in (1, 2) for text in made_up(MADE_UP_TRAINED, seed=seed)]
    vocabularies = {
        "Nightread": vocabulary(texts, size),
        "Nightread, with made-up reports": vocabulary(texts + reports, size),
        **{name: published(data / "vocab" / file, cased=cased) for name, (file, cased) in OTHERS.items()},
    }
    held_out = {name: split.held_out for name, split in splits.items()}
    held_out["code-mixed reports (made up)"] = made_up(MADE_UP_HELD_OUT, seed=9)
    rows = []
    for name, tokenizer in vocabularies.items():
        for kind, texts in held_out.items():
            found = fertility.measure(tokenizer, texts)
            figures = (found.pieces_per_word, found.unknown_rate, found.bytes_per_piece)
            rows.append((name, len(tokenizer), kind, found.words, *figures))
    show(rows)
    if out is not None:
        with out.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(("vocabulary", "pieces", "text", "words", *FIGURES))
            writer.writerows(rows)


def published(path: Path, *, cased: bool) -> PreTrainedTokenizerFast:
    """A tokenizer as BERT's own: a cased one keeps capitals and accents, an uncased one neither."""
    pieces = {piece: row for row, piece in enumerate(path.read_text(encoding="utf-8").splitlines())}
    unknown = "[UNK]" if "[UNK]" in pieces else "[unk]"  # one of these files is in small letters throughout
    backend = Tokenizer(WordPiece(pieces, unk_token=unknown))
    backend.normalizer = BertNormalizer(lowercase=not cased, strip_accents=not cased)
    backend.pre_tokenizer = BertPreTokenizer()
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token=unknown)


def show(rows: list[tuple[str, int, str, int, float, float, float]]) -> None:
    table = Table("text", "words", "vocabulary", "size", *FIGURES)
    for kind in dict.fromkeys(row[2] for row in rows):
        for name, size, text, words, pieces, unknown, text_bytes in rows:
            if text == kind:
                figures = (f"{pieces:.2f}", f"{unknown:.2%}", f"{text_bytes:.2f}")
                table.add_row(kind, f"{words:,}", name, f"{size:,}", *figures)
        table.add_section()
    Console(width=140).print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--size", type=int, default=45_000)
    parser.add_argument("--csv", type=Path)
    given = parser.parse_args()
    main(given.data, given.size, given.csv)
